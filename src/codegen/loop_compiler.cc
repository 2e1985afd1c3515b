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
#include "codegen/generated_kernel.h"
#include "codegen/group_program.h"
#include "codegen/matmul_program.h"
#include "codegen/object_code.h"
#include "codegen/trial.h"
#include "core/error.h"
#include "device/cpu/isa_select.h"

namespace reprise::codegen {

// A kernel and what became of it.
struct CompiledKernel {
  std::unique_ptr<GeneratedKernel> op;
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
};

namespace {

// All that the code depends on but the compiler, which a warm start does not ask. The CPU counts by its level alone: code
// of a level uses the features of the level, which are in the sources that build_id() hashes. `times` is what the choice
// among the variants depends on besides. The first line is for people.
std::string key_of(const GeneratedKernel& kernel, Isa level, std::string_view times) {
  return fmt::format("{} {}\nbuild {}\n{}\n{}\n{}", kernel.program_name(), name_of(level), build_id(),
                     with_fault(fmt::format("{}", fmt::join(kernel.variants(), ", "))), times,
                     kernel.program());
}

// How long a start that does not wait for its kernels waits for the compiler to answer.
constexpr std::chrono::milliseconds kStartPatience{40};

void lower_priority() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), 5);  // of this thread alone, on Linux
}

}  // namespace

LoopCompiler::LoopCompiler(Isa level, const graph::CompilerOptions& options, std::optional<Artefact> artefact,
                           std::string_view built_with, int threads)
    : level_(level),
      options_(options),
      artefact_(std::move(artefact)),
      built_with_(built_with),
      threads_(threads) {}

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
  if (level_ == Isa::scalar) return false;
  if (has_matmul(graph, group)) return why_not_matmul(graph, group).empty();
  return group_columns(graph, group) > 0 || attention_of(graph, group, level_).sets > 0 ||
         rotary_of(graph, group).sets > 0;
}

bool LoopCompiler::gains(const graph::Graph& graph, const graph::FusionGroup& group) const {
  // A matmul alone is the op's own kernel, unless there is code for its products.
  return group.nodes.size() > 1 || !has_matmul(graph, group) ||
         loop::has_products(matmul_of(graph, group), level_);
}

std::string LoopCompiler::why_not(const graph::Graph& graph, const graph::FusionGroup& group) const {
  if (level_ == Isa::scalar) return "no code is made for the level scalar";
  return has_matmul(graph, group) ? why_not_matmul(graph, group) : why_not_rows(graph, group);
}

const ops::OpSchema& LoopCompiler::compile(const graph::Graph& graph, const graph::FusionGroup& group) {
  const std::string text = program_text(graph, group, level_);
  auto found = kernels_.find(text);
  if (found == kernels_.end()) {
    found = kernels_.emplace(text, std::make_unique<CompiledKernel>()).first;
    CompiledKernel& kernel = *found->second;
    kernel.op = make_kernel(graph, group, level_);
    kernel.key = key_of(*kernel.op, level_, "for any CPU");
    kernel.cache_key = key_of(*kernel.op, level_, timed_on(graph, group, threads_));
    kernel.variant = kernel.op->untimed_variant();
    const std::vector<Isa>& here = cpu::available_isas();
    if (options_.makes_code && options_.trials && std::ranges::find(here, level_) != here.end())
      kernel.trial.emplace(graph, group, level_, threads_);
    start(kernel);
  }
  if (!found->second->in_parts.empty()) throw graph::SlowerThanParts("{}", found->second->in_parts);
  return *found->second->op;
}

// Looks for the kernel's code, and has the worker make and time what is not there.
void LoopCompiler::start(CompiledKernel& kernel) {
  const bool loaded = load(kernel, built_with_);
  std::unique_lock lock(mutex_);
  ++report_.kernels;
  if (options_.makes_code && (!loaded || can_time(kernel))) {
    (loaded ? to_time_ : to_compile_).push_back(&kernel);
    if (!loaded && kernel.op->needs_code()) ++missing_;
    if (!worker_.joinable()) worker_ = std::thread([this] { work(); });
    changed_.notify_all();
    if (options_.before_ready) changed_.wait(lock, [&] { return kernel.done; });
  }
  const bool slower = kernel.verdict && kernel.verdict->stays_in_parts();
  if (slower)
    kernel.in_parts = fmt::format("{} stays in parts: {} ({})", kernel.op->program_name(),
                                  kernel.verdict->summary(), kernel.verdict->times());
  if (loaded && options_.makes_code)
    ++(slower ? report_.not_compiled[std::string(graph::kSlower)] : report_.from_cache);
}

bool LoopCompiler::load(CompiledKernel& kernel, std::string_view made_by) {
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
bool LoopCompiler::take(CompiledKernel& kernel, std::vector<std::byte> object, std::string_view made_by,
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

void LoopCompiler::run(CompiledKernel& kernel, ObjectCode object) const {
  const auto function = reinterpret_cast<KernelFunction>(object.function("kernel"));
  if (options_.debug) {
    object.note_for_perf(kernel.op->program_name());
    object.note_for_gdb(kernel.op->program_name());
  }
  kernel.loaded.push_back(std::move(object));
  kernel.op->generated().store(function, std::memory_order_release);
}

KernelCache& LoopCompiler::cache() {
  const std::lock_guard lock(mutex_);
  if (!cache_)
    cache_ = std::make_unique<KernelCache>(
        KernelCache::Settings{.directory = options_.cache, .only_looks = !options_.makes_code});
  return *cache_;
}

CompileRequest LoopCompiler::request_of(const CompiledKernel& kernel, std::string_view variant) const {
  return {.level = level_, .options = with_fault(variant), .program = kernel.op->program()};
}

std::vector<LoopCompiler::Kernel> LoopCompiler::kernels() const {
  std::vector<Kernel> kernels;
  for (const auto& [text, kernel] : kernels_)
    kernels.push_back({.name = kernel->op->program_name(),
                       .key = kernel->key,
                       .request = request_of(*kernel, kernel->variant),
                       .verdict = kernel->verdict,
                       .object = kernel->object,
                       .failure = kernel->failure});
  std::ranges::stable_sort(kernels, {}, &Kernel::name);
  return kernels;
}

std::string LoopCompiler::facts(const graph::Graph& graph, const graph::FusionGroup& group) const {
  const auto found = kernels_.find(program_text(graph, group, level_));
  if (found == kernels_.end()) return {};
  const CompiledKernel& kernel = *found->second;
  const std::lock_guard lock(mutex_);
  if (kernel.verdict) return kernel.verdict->summary() + '\n' + print(*kernel.verdict);
  return kernel.object.empty() ? "not compiled yet\n" : fmt::format("{}, not timed yet\n", kernel.variant);
}

// The worker's: what was not timed and can be.
bool LoopCompiler::can_time(const CompiledKernel& kernel) {
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
    std::deque<CompiledKernel*>& queue = compiles ? to_compile_ : to_time_;
    CompiledKernel& kernel = *queue.front();
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
LoopCompiler::Counter LoopCompiler::make(CompiledKernel& kernel) {
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
void LoopCompiler::time(CompiledKernel& kernel) {
  try {
    const std::string& compiler = process_.name();
    std::vector<std::vector<std::byte>> bytes;
    std::vector<ObjectCode> objects;
    std::vector<Trial::Variant> variants;
    for (const std::string& variant : kernel.op->variants()) {
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
    std::optional<Verdict> verdict = kernel.trial->run(variants, ending_);
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

void LoopCompiler::give_up(CompiledKernel& kernel, std::string_view code, std::string_view reason) {
  kernel.failure = reason;
  const std::lock_guard lock(mutex_);
  ++report_.not_compiled[std::string(code)];
  if (report_.failure.empty())
    report_.failure = fmt::format("kernel {} {}, because it could not be compiled: {}",
                                  kernel.op->program_name(), kernel.op->without_code(), reason);
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
  CompiledKernel& kernel = *std::next(kernels_.begin(), static_cast<std::ptrdiff_t>(number))->second;
  if (kernel.loaded.empty()) return;
  kernel.op->generated().store(
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
                                                          const graph::CompilerOptions& options, int threads,
                                                          std::optional<Artefact> artefact) {
  const std::optional<Isa> level = parse_isa(device.level());
  REPRISE_CHECK(device.kind() == DeviceKind::cpu && level, "loops are compiled for CPUs");
  return std::make_unique<LoopCompiler>(*level, options, std::move(artefact), CompilerProcess::built_with(),
                                        threads);
}

}  // namespace reprise::codegen
