// Every *.test file of this folder: passes run on a graph written as text, compared with the graph that they
// should leave. A new case needs no C++.
//
//   pass: fuse_gate                   for all cases of the file; several with commas; all: the whole list
//   case: silu                        begins a case
//   max_model_len: 128                options of PassContext; either of them brings a folder that knows types
//   max_table_bytes: 4096             only, `folder: yes` brings it alone
//   refuses: matmul                   compile_groups has a compiler that takes no group with this op,
//   fails: silu                       one that fails on such a group,
//   slower: silu                      and one that finds it slower than its parts
//   before:
//   graph g { ... }
//   after:
//   graph g { ... }                   or `after: unchanged`
//
// Lines of # between cases are comments.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/error.h"
#include "graph/passes/pass.h"
#include "graph/text.h"
#include "graph/verify.h"
#include "source_dir.h"
#include "tests/graph/decomposing_compiler.h"

namespace reprise::graph {
namespace {

struct Case {
  std::string file, name, pass, before, after, refuses = {}, fails = {}, slower = {};
  bool unchanged = false, folder = false;
  int64_t max_model_len = 0, max_table_bytes = int64_t{1} << 20;
};

// A value behind "key:", or null.
const char* value_of(const std::string& line, std::string_view key) {
  if (!line.starts_with(key) || line.substr(key.size(), 1) != ":") return nullptr;
  return line.c_str() + line.find_first_not_of(' ', key.size() + 1);
}

std::vector<Case> cases_of(const std::filesystem::path& path) {
  std::vector<Case> cases;
  std::string pass, line;
  std::string* graph = nullptr;  // that lines belong to
  std::ifstream file(path);
  for (int number = 1; std::getline(file, line); ++number) {
    if (graph != nullptr && !graph->empty() && line == "}") {
      *graph += "}\n";
      graph = nullptr;
    } else if (graph != nullptr) {
      *graph += line + "\n";
    } else if (line.empty() || line.starts_with("#")) {
      continue;
    } else if (const char* name = value_of(line, "pass")) {
      pass = name;
    } else if (const char* name = value_of(line, "case")) {
      cases.push_back({.file = path.stem(), .name = name, .pass = pass, .before = {}, .after = {}});
    } else if (cases.empty()) {
      throw Error("{}:{}: '{}' before the first case", path.string(), number, line);
    } else if (line == "before:") {
      graph = &cases.back().before;
    } else if (line == "after:") {
      graph = &cases.back().after;
    } else if (line == "after: unchanged") {
      cases.back().unchanged = true;
    } else if (line == "folder: yes") {
      cases.back().folder = true;
    } else if (const char* length = value_of(line, "max_model_len")) {
      cases.back().max_model_len = std::stoll(length);
      cases.back().folder = true;
    } else if (const char* bytes = value_of(line, "max_table_bytes")) {
      cases.back().max_table_bytes = std::stoll(bytes);
      cases.back().folder = true;
    } else if (const char* op = value_of(line, "refuses")) {
      cases.back().refuses = op;
    } else if (const char* op = value_of(line, "fails")) {
      cases.back().fails = op;
    } else if (const char* op = value_of(line, "slower")) {
      cases.back().slower = op;
    } else {
      throw Error("{}:{}: what is '{}'?", path.string(), number, line);
    }
  }
  return cases;
}

std::vector<Case> all_cases() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(REPRISE_SOURCE_DIR "/tests/graph/passes"))
    if (entry.path().extension() == ".test") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<Case> cases;
  for (const auto& file : files)
    for (Case& one : cases_of(file)) cases.push_back(std::move(one));
  return cases;
}

// Knows types and no bytes: enough to see what a pass does.
class TypesOnly final : public ConstantFolder {
 public:
  std::vector<Tensor> fold(const Graph& graph, const Node& node) override {
    const ops::OutputSpecs specs = infer(graph, node);
    std::vector<Tensor> tensors;
    for (int i = 0; i < specs.count; ++i) {
      const ops::OutputSpec& spec = specs.specs[static_cast<size_t>(i)];
      tensors.push_back(constant(spec.dtype, spec.shape, nullptr));
    }
    return tensors;
  }
  Tensor constant(DType dtype, const Shape& shape, const void*) override {
    Tensor tensor;
    tensor.dtype = dtype;
    tensor.shape = shape;
    return tensor;
  }
};

bool has_op(const Graph& graph, const FusionGroup& group, const std::string& op) {
  return std::any_of(group.nodes.begin(), group.nodes.end(),
                     [&](NodeId node) { return graph.node(node).schema->name == op; });
}

void PrintTo(const Case& one, std::ostream* out) {
  *out << one.file << ".test: " << one.name;
}

class PassText : public testing::TestWithParam<Case> {};

TEST_P(PassText, LeavesTheGraph) {
  const Case& test = GetParam();
  TypesOnly folder;
  PassContext context{.folder = test.folder ? &folder : nullptr,
                      .max_model_len = test.max_model_len,
                      .max_table_bytes = static_cast<size_t>(test.max_table_bytes)};
  DecomposingCompiler compiler(DeviceKind::cpu, "scalar");
  compiler.also_accepts = [&](const Graph& graph, const FusionGroup& group) {
    return !has_op(graph, group, test.refuses);
  };
  compiler.before_compile = [&](const Graph& graph, const FusionGroup& group) {
    if (has_op(graph, group, test.fails)) throw Error("no kernel for {}", test.fails);
    if (has_op(graph, group, test.slower)) throw SlowerThanParts("{} is slower", test.slower);
  };
  const bool compiles = test.pass.find("compile_groups") != std::string::npos;
  if (compiles) context.compiler = &compiler;
  Graph graph = parse(test.before);
  const std::string before = print(graph);
  ASSERT_THAT(problems_of(graph), testing::IsEmpty()) << "before";
  bool changed = false, known = false;
  for (const Pass& pass : pass_list()) {
    const bool listed = (", " + test.pass + ",").find(fmt::format(" {},", pass.name)) != std::string::npos;
    if (test.pass != "all" && !listed) continue;
    known = true;
    const Graph was = graph;
    changed = pass.run(graph, context) || changed;
    ASSERT_THAT(problems_of(graph, &was), testing::IsEmpty()) << pass.name << " left\n" << print(graph);
  }
  ASSERT_TRUE(known) << "no pass is called " << test.pass;
  EXPECT_EQ(changed, print(graph) != before) << "what the pass said of itself";
  // Compiled ops are in no registry, so what is expected can't be parsed.
  EXPECT_EQ(print(graph), test.unchanged ? before : compiles ? test.after : print(parse(test.after)));
}

std::string name_of_case(const testing::TestParamInfo<Case>& info) {
  std::string name = info.param.file + "_" + info.param.name;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(Passes, PassText, testing::ValuesIn(all_cases()), name_of_case);

}  // namespace
}  // namespace reprise::graph
