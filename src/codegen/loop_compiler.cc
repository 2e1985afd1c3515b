#include "codegen/loop_compiler.h"

#include <fmt/ranges.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <exception>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "codegen/build_id.h"
#include "codegen/compiler_protocol.h"
#include "codegen/group_program.h"
#include "codegen/object_code.h"
#include "codegen/trial.h"
#include "core/error.h"
#include "device/cpu/isa_select.h"
#include "loop/text.h"
#include "ops/cpu/loop.h"
#include "ops/launch_table.h"

namespace reprise::codegen {

// A kernel as an op: its inputs and outputs are those of the group.
struct LoopKernel : ops::OpSchema {
  kernels::cpu::LoopCode code;
  std::string key;                // of artefacts
  std::string cache_key;          // says also what times depend on
  std::deque<ObjectCode> loaded;  // the last one runs; one before it may still be running
  std::optional<Trial> trial;     // none: nothing is timed here
  // Of the last one loaded, for whoever stores it.
  std::string variant;
  std::string made_by;  // which LLVM; empty: not known
  std::vector<std::byte> object;
  std::string failure;

  // Under the compiler's mutex.
  std::optional<Verdict> verdict;
  bool done = false;     // nothing more is compiled or timed
  std::string in_parts;  // why its groups run op by op; decided for all when the first one is asked for

  std::vector<std::string> own_input_names;
  std::vector<std::string_view> input_views;
  std::vector<DType> outputs;
  int row_input = 0;  // whose shape the outputs have
  ops::OpLaunch own_launch;

  static const LoopKernel& of(const ops::OpCall& call) { return static_cast<const LoopKernel&>(call.schema); }
  static void infer_outputs(const ops::OpCall& call, ops::OutputSpecs& outputs) {
    for (const DType dtype : of(call).outputs) outputs.add(dtype, call.input(of(call).row_input).shape);
  }
  static void run(const ops::OpCall& call, Stream& stream, std::span<const Tensor> outputs,
                  ops::WorkspaceAllocator&) {
    ops::cpu::launch_code(of(call).code, of(call).name, stream,
                          {call.inputs.data(), static_cast<size_t>(call.input_count)}, outputs);
  }
};

namespace {

// All that the code depends on but the compiler, which a warm start does not ask. The CPU counts by its level alone: code
// of a level uses the features of the level, which are in the sources that build_id() hashes. `times` is what the choice
// among the variants depends on besides. The first line is for people.
std::string key_of(const loop::Program& program, std::string_view text, Isa level, std::string_view times) {
  return fmt::format("{} {}\nbuild {}\n{}\n{}\n{}", program.name, name_of(level), build_id(),
                     with_fault(fmt::format("{}", fmt::join(variants_of(program), ", "))), times, text);
}

// How long a start that does not wait for its kernels waits for the compiler to answer.
constexpr std::chrono::milliseconds kStartPatience{40};

void lower_priority() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 5);  // of this thread alone, on Linux
}

std::unique_ptr<LoopKernel> make_kernel(const graph::Graph& graph, const graph::FusionGroup& group,
                                        loop::Program program) {
  auto kernel = std::make_unique<LoopKernel>();
  kernel->code.program = std::move(program);
  const loop::Program& of = kernel->code.program;
  const auto inputs = static_cast<int>(group.inputs.size());
  for (int i = 0; i < inputs; ++i)
    kernel->own_input_names.push_back(of.operands[static_cast<size_t>(i)].name);
  kernel->input_views.assign(kernel->own_input_names.begin(), kernel->own_input_names.end());
  for (size_t i = 0; i < group.outputs.size(); ++i) {
    kernel->outputs.push_back(graph.value(group.outputs[i]).dtype);
    for (int in = 0; in < inputs; ++in)
      if (of.may_share(inputs + static_cast<int>(i), in))
        kernel->may_share[i] |= static_cast<uint16_t>(1u << in);
  }
  while (of.operands[static_cast<size_t>(kernel->row_input)].place != loop::Place::row) ++kernel->row_input;
  kernel->own_launch = {.launch = LoopKernel::run};
  kernel->name = of.name;
  kernel->kind = of.items_of_row() > 1 ? ops::OpKind::elementwise : ops::OpKind::reduction;
  kernel->input_names = kernel->input_views;
  kernel->row_wise = true;
  kernel->infer = LoopKernel::infer_outputs;
  kernel->generated = &kernel->own_launch;
  return kernel;
}

}  // namespace

LoopCompiler::LoopCompiler(Isa level, const graph::CompilerOptions& options, std::optional<Artefact> artefact,
                           std::string_view built_with)
    : level_(level), options_(options), artefact_(std::move(artefact)), built_with_(built_with) {}

LoopCompiler::~LoopCompiler() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (worker_.joinable()) worker_.join();
}

std::string_view LoopCompiler::level() const {
  return name_of(level_);
}

// There are no instructions for a * b + c at the lowest level, so no code is made for it. Ops alone are accepted too:
// generated code is mostly faster than the kernels written by hand, since it knows the columns and rounds without looking
// for NaN. Where it is not, a trial finds that.
bool LoopCompiler::accepts(const graph::Graph& graph, const graph::FusionGroup& group) const {
  return level_ != Isa::scalar && group_columns(graph, group) > 0;
}

std::string LoopCompiler::why_not(const graph::Graph& graph, const graph::FusionGroup& group) const {
  return level_ == Isa::scalar ? "no code is made for the level scalar" : why_not_rows(graph, group);
}

const ops::OpSchema& LoopCompiler::compile(const graph::Graph& graph, const graph::FusionGroup& group) {
  loop::Program program = program_of(graph, group);
  const std::string text = loop::print(program);
  auto found = kernels_.find(text);
  if (found == kernels_.end()) {
    found = kernels_.emplace(text, make_kernel(graph, group, std::move(program))).first;
    LoopKernel& kernel = *found->second;
    kernel.key = key_of(kernel.code.program, text, level_, "for any CPU");
    kernel.cache_key = key_of(kernel.code.program, text, level_, timed_on());
    kernel.variant = untimed_variant(kernel.code.program);
    const std::vector<Isa>& here = cpu::available_isas();
    if (options_.makes_code && options_.trials && std::ranges::find(here, level_) != here.end())
      kernel.trial.emplace(graph, group);
    start(kernel);
  }
  if (!found->second->in_parts.empty()) throw graph::SlowerThanParts("{}", found->second->in_parts);
  return *found->second;
}

// Looks for the kernel's code, and has the worker make and time what is not there.
void LoopCompiler::start(LoopKernel& kernel) {
  const bool loaded = load(kernel, built_with_);
  std::unique_lock lock(mutex_);
  ++report_.kernels;
  if (options_.makes_code && (!loaded || can_time(kernel))) {
    (loaded ? to_time_ : to_compile_).push_back(&kernel);
    if (!loaded) ++missing_;
    if (!worker_.joinable()) worker_ = std::thread([this] { work(); });
    changed_.notify_all();
    if (options_.before_ready) changed_.wait(lock, [&] { return kernel.done; });
  }
  const bool slower = kernel.verdict && kernel.verdict->stays_in_parts();
  if (slower)
    kernel.in_parts = fmt::format("{} stays in parts: {} ({})", kernel.code.program.name,
                                  kernel.verdict->summary(), kernel.verdict->times());
  if (loaded && options_.makes_code)
    ++(slower ? report_.not_compiled[std::string(graph::kSlower)] : report_.from_cache);
}

bool LoopCompiler::load(LoopKernel& kernel, std::string_view made_by) {
  const KernelPair* const pair = artefact_ ? artefact_->find(kernel.key) : nullptr;
  if (pair != nullptr && take(kernel, {pair->payload.begin(), pair->payload.end()}, made_by, pair->note)) {
    kernel.trial.reset();  // whoever made the artefact has chosen
    return true;
  }
  std::string note;
  std::optional<std::vector<std::byte>> object = cache().load(kernel.cache_key, made_by, &note);
  return object && take(kernel, std::move(*object), made_by, note);
}

// From the cache or the artefact.
bool LoopCompiler::take(LoopKernel& kernel, std::vector<std::byte> object, std::string_view made_by,
                        std::string_view note) {
  try {
    std::optional<Verdict> verdict;
    if (!note.empty()) verdict = parse_verdict(note);
    if (options_.makes_code) run(kernel, ObjectCode::load(object));
    kernel.object = std::move(object);
    kernel.made_by = made_by;
    if (verdict) kernel.variant = verdict->best().name;
    const std::lock_guard lock(mutex_);
    kernel.verdict = std::move(verdict);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void LoopCompiler::run(LoopKernel& kernel, ObjectCode object) const {
  const auto function = reinterpret_cast<KernelFunction>(object.function("kernel"));
  if (options_.debug) {
    object.note_for_perf(kernel.code.program.name);
    object.note_for_gdb(kernel.code.program.name);
  }
  kernel.loaded.push_back(std::move(object));
  kernel.code.generated.store(function, std::memory_order_release);
}

KernelCache& LoopCompiler::cache() {
  const std::lock_guard lock(mutex_);
  if (!cache_)
    cache_ = std::make_unique<KernelCache>(
        KernelCache::Settings{.directory = options_.cache, .only_looks = !options_.makes_code});
  return *cache_;
}

CompileRequest LoopCompiler::request_of(const LoopKernel& kernel, std::string_view variant) const {
  return {.level = level_, .options = with_fault(variant), .program = loop::print(kernel.code.program)};
}

std::vector<LoopCompiler::Kernel> LoopCompiler::kernels() const {
  std::vector<Kernel> kernels;
  for (const auto& [text, kernel] : kernels_)
    kernels.push_back({.name = kernel->code.program.name,
                       .key = kernel->key,
                       .request = request_of(*kernel, kernel->variant),
                       .verdict = kernel->verdict,
                       .object = kernel->object,
                       .failure = kernel->failure});
  std::ranges::stable_sort(kernels, {}, &Kernel::name);
  return kernels;
}

std::string LoopCompiler::facts(const graph::Graph& graph, const graph::FusionGroup& group) const {
  const auto found = kernels_.find(loop::print(program_of(graph, group)));
  if (found == kernels_.end()) return {};
  const LoopKernel& kernel = *found->second;
  const std::lock_guard lock(mutex_);
  if (kernel.verdict) return kernel.verdict->summary() + '\n' + print(*kernel.verdict);
  return kernel.object.empty() ? "not compiled yet\n" : fmt::format("{}, not timed yet\n", kernel.variant);
}

// The worker's: what was not timed and can be.
bool LoopCompiler::can_time(const LoopKernel& kernel) {
  return kernel.trial && !kernel.verdict;
}

void LoopCompiler::work() {
  lower_priority();
  std::string name, error;
  try {
    name = process_.name();
  } catch (const std::exception& failure) {
    error = failure.what();
  }
  std::unique_lock lock(mutex_);
  started_ = true;
  report_.compiler = name;
  start_error_ = error;
  changed_.notify_all();
  for (;;) {
    changed_.wait(lock, [&] { return ending_ || !to_compile_.empty() || !to_time_.empty(); });
    if (ending_) return;
    const bool compiles = !to_compile_.empty();
    std::deque<LoopKernel*>& queue = compiles ? to_compile_ : to_time_;
    LoopKernel& kernel = *queue.front();
    queue.pop_front();
    busy_ = true;
    lock.unlock();
    Counter made = nullptr;
    if (compiles) made = make(kernel);
    // All code comes before the first trial, unless somebody waits for this kernel.
    const bool later = made != nullptr && can_time(kernel) && !options_.before_ready;
    if (!later && (made != nullptr || !compiles) && can_time(kernel)) time(kernel);
    lock.lock();
    const bool slower = options_.before_ready && kernel.verdict && kernel.verdict->stays_in_parts();
    if (made != nullptr) ++(slower ? report_.not_compiled[std::string(graph::kSlower)] : report_.*made);
    if (later)
      to_time_.push_back(&kernel);
    else
      kernel.done = true;
    busy_ = false;
    changed_.notify_all();
  }
}

// Null: there is no code, which is counted already.
LoopCompiler::Counter LoopCompiler::make(LoopKernel& kernel) {
  try {
    const std::string& compiler = process_.name();
    if (!built_with_.empty() && compiler != built_with_ && load(kernel, compiler))
      return &graph::CompilerReport::from_cache;
    Compiled compiled = process_.compile(request_of(kernel, kernel.variant));
    try {
      run(kernel, ObjectCode::load(compiled.bytes));
    } catch (const Error& error) {
      give_up(kernel, "not_loadable", error.what());
      return nullptr;
    }
    kernel.object = std::move(compiled.bytes);
    kernel.made_by = compiler;
    cache().store(kernel.cache_key, kernel.object, compiler);
    add_ms(&graph::CompilerReport::ms, compiled.took);
    return &graph::CompilerReport::compiled;
  } catch (const CompileError& error) {
    give_up(kernel, code_of(error.failure), error.what());
  } catch (const std::exception& error) {  // no memory, say: the thread goes on
    give_up(kernel, "failed", error.what());
  }
  return nullptr;
}

// Variants that can't be compiled are left out. Where nothing can be timed, the code that is there serves.
void LoopCompiler::time(LoopKernel& kernel) {
  try {
    const std::string& compiler = process_.name();
    std::vector<std::vector<std::byte>> bytes;
    std::vector<ObjectCode> objects;
    std::vector<Trial::Variant> variants;
    for (const std::string& variant : variants_of(kernel.code.program)) {
      if (ending_) return;
      try {
        if (variant == kernel.variant && kernel.made_by == compiler) {
          bytes.push_back(kernel.object);
        } else {
          Compiled compiled = process_.compile(request_of(kernel, variant));
          add_ms(&graph::CompilerReport::ms, compiled.took);
          bytes.push_back(std::move(compiled.bytes));
        }
        objects.push_back(ObjectCode::load(bytes.back()));
        variants.push_back({variant, reinterpret_cast<KernelFunction>(objects.back().function("kernel"))});
      } catch (const Error&) {
        bytes.resize(variants.size());
        objects.erase(objects.begin() + static_cast<std::ptrdiff_t>(variants.size()), objects.end());
      }
    }
    if (variants.empty()) return;
    const auto begin = std::chrono::steady_clock::now();
    std::optional<Verdict> verdict = kernel.trial->run(level_, kernel.code.program, variants, ending_);
    add_ms(&graph::CompilerReport::trials_ms, std::chrono::steady_clock::now() - begin);
    if (!verdict) return;
    const auto best = static_cast<size_t>(&verdict->best() - verdict->variants.data());
    if (variants[best].name != kernel.variant || kernel.made_by != compiler) {
      run(kernel, std::move(objects[best]));
      kernel.object = std::move(bytes[best]);
      kernel.made_by = compiler;
      kernel.variant = variants[best].name;
    }
    cache().store(kernel.cache_key, kernel.object, compiler, print(*verdict));
    const std::lock_guard lock(mutex_);
    kernel.verdict = std::move(verdict);
  } catch (const std::exception&) {  // no memory, or no compiler: the next start tries again
  }
}

void LoopCompiler::add_ms(double graph::CompilerReport::*to, std::chrono::nanoseconds took) {
  const std::lock_guard lock(mutex_);
  report_.*to += std::chrono::duration<double, std::milli>(took).count();
}

void LoopCompiler::give_up(LoopKernel& kernel, std::string_view code, std::string_view reason) {
  kernel.failure = reason;
  const std::lock_guard lock(mutex_);
  ++report_.not_compiled[std::string(code)];
  if (report_.failure.empty())
    report_.failure = fmt::format("kernel {} is interpreted, because it could not be compiled: {}",
                                  kernel.code.program.name, reason);
}

bool LoopCompiler::can_compile() const {
  return CompilerProcess::is_there();
}

void LoopCompiler::ready() {
  std::unique_lock lock(mutex_);
  if (!worker_.joinable()) return;
  // Trials alone hold nobody up, unless all is waited for.
  if (missing_ == 0 && !options_.before_ready) return;
  // One that can't be started says so at once. One that is slow to start, on a busy machine, holds nobody up: should
  // it fail after all, its kernels stay interpreted, and the report says so.
  const auto started = [&] { return started_; };
  if (options_.before_ready)
    changed_.wait(lock, started);
  else if (!changed_.wait_for(lock, kStartPatience, started))
    return;
  if (!start_error_.empty() && missing_ > 0)
    throw Error(
        "[graph_opt_level] 2 needs {} kernels to be compiled, and {}; reprise-compiler needs the package libllvm19, "
        "to be built llvm-19-dev; or use graph_opt_level 1, or --compiled",
        missing_, start_error_);
  lock.unlock();
  if (options_.before_ready) settle();
}

void LoopCompiler::settle() {
  std::unique_lock lock(mutex_);
  if (worker_.joinable())
    changed_.wait(lock, [&] { return started_ && to_compile_.empty() && to_time_.empty() && !busy_; });
}

void LoopCompiler::run_code(size_t number, bool code) {
  LoopKernel& kernel = *std::next(kernels_.begin(), static_cast<std::ptrdiff_t>(number))->second;
  if (kernel.loaded.empty()) return;
  kernel.code.generated.store(
      code ? reinterpret_cast<KernelFunction>(kernel.loaded.back().function("kernel")) : nullptr,
      std::memory_order_release);
}

graph::CompilerReport LoopCompiler::report() const {
  const std::lock_guard lock(mutex_);
  graph::CompilerReport report = report_;
  if (!cache_) return report;
  report.rejected = cache_->stats().rejected;
  report.cache_dir = cache_->directory();
  report.cache_warning = cache_->warning();
  return report;
}

std::unique_ptr<graph::KernelCompiler> make_loop_compiler(const Device& device,
                                                          const graph::CompilerOptions& options,
                                                          std::optional<Artefact> artefact) {
  const std::optional<Isa> level = parse_isa(device.level());
  REPRISE_CHECK(device.kind() == DeviceKind::cpu && level, "loops are compiled for CPUs");
  return std::make_unique<LoopCompiler>(*level, options, std::move(artefact));
}

}  // namespace reprise::codegen
