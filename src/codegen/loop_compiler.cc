#include "codegen/loop_compiler.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <iterator>
#include <optional>
#include <utility>
#include <vector>

#include "codegen/build_id.h"
#include "codegen/compiler_protocol.h"
#include "codegen/group_program.h"
#include "codegen/object_code.h"
#include "core/error.h"
#include "loop/text.h"
#include "ops/cpu/loop.h"
#include "ops/launch_table.h"

namespace reprise::codegen {

// A kernel as an op: its inputs and outputs are those of the group.
struct LoopKernel : ops::OpSchema {
  kernels::cpu::LoopCode code;
  std::optional<ObjectCode> object;  // set once, before code.generated
  std::string key;                   // of the cache
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

// Four vectors at a time were fastest or as fast as any at every level (a chain of 11 ops, hot and cold).
constexpr std::string_view kOptions = "chunks 4";

// All that the code depends on but the compiler, which a warm start does not ask. The CPU counts by its level alone: code
// of a level uses the features of the level, which are in the sources that build_id() hashes. The first line is for
// people.
std::string key_of(const loop::Program& program, std::string_view text, Isa level) {
  return fmt::format("{} {}\nbuild {}\n{}\n{}", program.name, name_of(level), build_id(),
                     with_fault(kOptions), text);
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
    queue_.clear();
  }
  changed_.notify_all();
  if (worker_.joinable()) worker_.join();
}

std::string_view LoopCompiler::level() const {
  return name_of(level_);
}

// There are no instructions for a * b + c at the lowest level, so no code is made for it. Ops alone are accepted too:
// generated code takes 0.6 to 0.75 of the time of the kernels add_rms_norm and silu_mul in bf16, because it rounds
// without looking for NaN, and 0.5 to 1.0 in f32 (avx2 and avx512, 64 to 3,072 columns, 1 to 512 rows).
bool LoopCompiler::accepts(const graph::Graph& graph, const graph::FusionGroup& group) const {
  return level_ != Isa::scalar && group_columns(graph, group) > 0;
}

std::string LoopCompiler::why_not(const graph::Graph& graph, const graph::FusionGroup& group) const {
  return level_ == Isa::scalar ? "no code is made for the level scalar" : why_not_rows(graph, group);
}

const ops::OpSchema& LoopCompiler::compile(const graph::Graph& graph, const graph::FusionGroup& group) {
  loop::Program program = program_of(graph, group);
  const std::string text = loop::print(program);
  const auto found = kernels_.find(text);
  if (found != kernels_.end()) return *found->second;
  LoopKernel& kernel = *kernels_.emplace(text, make_kernel(graph, group, std::move(program))).first->second;
  kernel.key = key_of(kernel.code.program, text, level_);
  const bool loaded = options_.makes_code && load(kernel, built_with_);
  const std::lock_guard lock(mutex_);
  ++report_.kernels;
  if (!options_.makes_code) return kernel;
  if (loaded)
    ++report_.from_cache;
  else
    enqueue(kernel);
  return kernel;
}

bool LoopCompiler::load(LoopKernel& kernel, std::string_view made_by) {
  std::string why;
  if (artefact_)
    if (const auto object = artefact_->find(kernel.key); object && take(kernel, *object, why)) return true;
  const std::optional<std::vector<std::byte>> object = cache().load(kernel.key, made_by);
  return object && take(kernel, *object, why);
}

KernelCache& LoopCompiler::cache() {
  const std::lock_guard lock(mutex_);
  if (!cache_) cache_ = std::make_unique<KernelCache>(KernelCache::Settings{.directory = options_.cache});
  return *cache_;
}

CompileRequest LoopCompiler::request_of(const LoopKernel& kernel) const {
  return {.level = level_, .options = with_fault(kOptions), .program = loop::print(kernel.code.program)};
}

std::vector<LoopCompiler::Kernel> LoopCompiler::kernels() const {
  std::vector<Kernel> kernels;
  for (const auto& [text, kernel] : kernels_)
    kernels.push_back({kernel->code.program.name, kernel->key, request_of(*kernel)});
  std::ranges::stable_sort(kernels, {}, &Kernel::name);
  return kernels;
}

bool LoopCompiler::take(LoopKernel& kernel, std::span<const std::byte> object, std::string& why) {
  try {
    kernel.object = ObjectCode::load(object);
    const auto function = reinterpret_cast<KernelFunction>(kernel.object->function("kernel"));
    if (options_.debug) {
      kernel.object->note_for_perf(kernel.code.program.name);
      kernel.object->note_for_gdb(kernel.code.program.name);
    }
    kernel.code.generated.store(function, std::memory_order_release);
    return true;
  } catch (const Error& error) {
    why = error.what();
    return false;
  }
}

void LoopCompiler::enqueue(LoopKernel& kernel) {
  queue_.push_back(&kernel);
  if (!worker_.joinable()) worker_ = std::thread([this] { work(); });
  changed_.notify_all();
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
    changed_.wait(lock, [&] { return ending_ || !queue_.empty(); });
    if (ending_) return;
    LoopKernel& kernel = *queue_.front();
    queue_.pop_front();
    busy_ = true;
    lock.unlock();
    make(kernel);
    lock.lock();
    busy_ = false;
    changed_.notify_all();
  }
}

void LoopCompiler::make(LoopKernel& kernel) {
  try {
    const std::string& compiler = process_.name();
    if (!built_with_.empty() && compiler != built_with_ && load(kernel, compiler)) {
      const std::lock_guard lock(mutex_);
      ++report_.from_cache;
      return;
    }
    const Compiled compiled = process_.compile(request_of(kernel));
    std::string why;
    if (!take(kernel, compiled.bytes, why)) return give_up(kernel, "not_loadable", why);
    cache().store(kernel.key, compiled.bytes, compiler);
    const std::lock_guard lock(mutex_);
    ++report_.compiled;
    report_.ms += std::chrono::duration<double, std::milli>(compiled.took).count();
  } catch (const CompileError& error) {
    give_up(kernel, code_of(error.failure), error.what());
  } catch (const std::exception& error) {  // no memory, say: the thread goes on
    give_up(kernel, "failed", error.what());
  }
}

void LoopCompiler::give_up(const LoopKernel& kernel, std::string_view code, std::string_view reason) {
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
  // One that can't be started says so at once. One that is slow to start, on a busy machine, holds nobody up: should
  // it fail after all, its kernels stay interpreted, and the report says so.
  const auto started = [&] { return started_; };
  if (options_.before_ready)
    changed_.wait(lock, started);
  else if (!changed_.wait_for(lock, kStartPatience, started))
    return;
  if (!start_error_.empty())
    throw Error(
        "[graph_opt_level] 2 needs {} kernels to be compiled, and {}; reprise-compiler needs the package libllvm19, "
        "to be built llvm-19-dev; or use graph_opt_level 1, or --compiled",
        report_.kernels - report_.from_cache, start_error_);
  lock.unlock();
  if (options_.before_ready) settle();
}

void LoopCompiler::settle() {
  std::unique_lock lock(mutex_);
  if (worker_.joinable()) changed_.wait(lock, [&] { return started_ && queue_.empty() && !busy_; });
}

void LoopCompiler::run_code(size_t number, bool code) {
  LoopKernel& kernel = *std::next(kernels_.begin(), static_cast<std::ptrdiff_t>(number))->second;
  if (!kernel.object) return;
  kernel.code.generated.store(
      code ? reinterpret_cast<KernelFunction>(kernel.object->function("kernel")) : nullptr,
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
