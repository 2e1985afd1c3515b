// A family of models of your own, in plain C++, for reprise::LanguageModel to load:
//
//   class MyBackbone : public reprise::Backbone { ... forward(), logits() ... };
//   reprise::register_model_family({
//       .architecture = "MyForCausalLM",  // as config.json says it
//       .supports_graph_optimization = true,
//       .inputs = {"token_ids", "positions", "rope_lengths", "slots", "seq_of_token", "block_tables",
//                  "logit_rows"},
//       .make = [](reprise::WeightReader& weights) { return std::make_unique<MyBackbone>(weights); }});
//   reprise::LanguageModel model = reprise::LanguageModel::load({.model = "/models/mine"});
//
// examples/custom_model is a complete one. The code of forward() is written once: it runs op by op, is traced
// to a static graph, and its launches are recorded and replayed, with the same bits each way.
//
// A step computes T tokens of S sequences and reads the logits of R of the tokens. A Value of the model's code
// has T, S or R rows. All three are symbolic; never branch on them.
//
// Errors: as in reprise.h. Those of a model's code (an input that
// is not declared, shapes that don't fit) are thrown by LanguageModel::load, which runs it once.
// Threads: register before any model is loaded. A model's code runs on one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace reprise {

// The line of the model's code that called an op, for graphs and errors. Leave it at its default.
using Where = std::source_location;

// A tensor in a model's code. Copies share the same elements; nothing is allocated on the heap.
class Value {
 public:
  Value();  // empty: an optional argument that is absent
  Value(const Value& other);
  Value(Value&& other) noexcept;
  Value& operator=(const Value& other);
  Value& operator=(Value&& other) noexcept;
  ~Value();

  explicit operator bool() const;
  int64_t columns() const;        // elements of a row
  std::string to_string() const;  // "bfloat16 [T, 64]"

 private:
  friend struct ValueAccess;
  alignas(8) std::byte storage_[256];
};

// The fields of config.json, for what the engine doesn't read itself. A field that is null counts as absent;
// one of another type is an error that names it.
class ConfigFields {
 public:
  using Field = std::variant<bool, int64_t, double, std::string>;

  bool has(std::string_view key) const;
  std::optional<bool> boolean(std::string_view key) const;
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<std::string> string(std::string_view key) const;
  std::string text() const;  // the whole document as JSON

  // For ModelFamily::prepare_config.
  void set(const std::string& key, Field value);

  struct Impl;
  explicit ConfigFields(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<Impl> impl_;
};

// What config.json says, under Hugging Face's names. Layers, heads and head_dim decide the KV cache's size.
struct ModelShape {
  std::string architecture;
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;  // num_hidden_layers
  int64_t num_heads = 0;   // num_attention_heads
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_position_embeddings = 0;
  double rms_norm_eps = 0;
  std::string hidden_act;
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  bool mlp_bias = false;
  ConfigFields config;
};

// Weights by their names in the checkpoint (or random ones of that shape). A missing name or another shape is
// an error.
class WeightReader {
 public:
  const ModelShape& shape() const;
  // [rows, columns] of the compute dtype, packed for the kernels: for linear, logits and embedding.
  Value matrix(const std::string& name, int64_t rows, int64_t columns);
  // f32 [size]: for norms and biases.
  Value vector(const std::string& name, int64_t size);
  // f32, computed by the host.
  Value constant(const std::string& name, const std::vector<float>& values);

  struct Impl;
  explicit WeightReader(Impl& impl) : impl_(impl) {}
  Impl& impl() { return impl_; }

 private:
  Impl& impl_;
};

// A layer's keys and values of all sequences, with the inputs of the step that address them.
class KvCache;

// The inputs of one step, by name. Only those that the family declared may be used.
//   token_ids     [T]  ids
//   positions     [T]  0-based, in the sequence                     rotary_angles, attention
//   rope_lengths  [T]  max(length of the prompt, position + 1)      rotary_angles
//   slots         [T]  where keys and values go                     attention
//   seq_of_token  [T]  row of block_tables                          attention
//   block_tables  [S, blocks]                                       attention
//   logit_rows    [R]  tokens whose logits are read                 gather_rows
class ModelInputs {
 public:
  Value operator[](std::string_view name) const;
  KvCache kv_cache(int64_t layer) const;  // layer 0 .. num_layers - 1

  struct Impl;
  explicit ModelInputs(const Impl& impl) : impl_(impl) {}
  const Impl& impl() const { return impl_; }

 private:
  const Impl& impl_;
};

class KvCache {
 public:
  KvCache(const ModelInputs::Impl& inputs, int64_t layer) : inputs_(inputs), layer_(layer) {}
  const ModelInputs::Impl& inputs() const { return inputs_; }
  int64_t layer() const { return layer_; }

 private:
  const ModelInputs::Impl& inputs_;
  int64_t layer_;
};

struct ModelOutputs {
  Value hidden;  // [T, hidden_size], after the last norm
  Value logits;  // [R, vocab_size] f32: logits() of the rows in logit_rows
};

// A model's code. Its only side effect is on the KV cache; it never branches on values that it computes.
class Backbone {
 public:
  virtual ~Backbone() = default;
  virtual ModelOutputs forward(const ModelInputs& inputs) const = 0;
  // Logits [n, vocab_size] f32 of rows [n] of `hidden`; also asked for by itself, for prompt
  // log-probabilities.
  virtual Value logits(const Value& hidden, const Value& rows) const = 0;
};

struct ModelFamily {
  std::string architecture = {};
  // The code of forward() may be traced to a static graph and its launches captured. Without it a model runs
  // op by op only, and asking for graph_opt_level >= 1 or for capture is an error when it is loaded.
  bool supports_graph_optimization = false;
  std::vector<std::string> inputs = {};  // the names that the code uses, of those above ModelInputs
  // For a config.json with names of its own: sets those above ModelShape from them (hidden_size from n_embd,
  // say) before they are read. May be empty.
  std::function<void(ConfigFields&)> prepare_config = nullptr;
  // Reads the weights. Called several times in a load: sizes first, then the real ones.
  std::function<std::unique_ptr<Backbone>(WeightReader&)> make = nullptr;
};

// Adds a family, or replaces the one of that name. Throws on an entry that is not complete or an input that
// does not exist.
void register_model_family(ModelFamily family);

// Names the part of the model that the ops of this scope belong to: "blocks.3.mlp", in profiles, graphs and
// errors. The characters must live as long as the model.
class Layer {
 public:
  explicit Layer(std::string_view path);
  ~Layer();
  Layer(const Layer&) = delete;
  Layer& operator=(const Layer&) = delete;

 private:
  alignas(8) std::byte storage_[96];
};

class Expr;

// An op of your own: one function over rows. One that can be written as an expression of each element is better
// an op of register_elementwise(), which level 2 compiles.
struct CustomOp {
  std::string name = {};  // not that of another op
  // y = f(x), row by row, both [rows, columns], not overlapping. Gets any part of the rows, on any thread and
  // on several at once: a row's result may depend on that row alone. bf16 values come and go as f32.
  void (*run)(const float* x, float* y, int64_t rows, int64_t columns) noexcept = nullptr;
  // True: a row's result depends on that row's values alone, and the function does nothing else: it keeps no
  // count, looks at no clock, calls nobody who does. The op then may run fewer times than the model's code
  // calls it: once for two equal calls, not at all for a result that nobody reads, and only for the rows that
  // are read.
  bool pure = false;
  // False: the function does what can't be replayed (looks at a clock, keeps state, calls elsewhere). It gets
  // the rows in their order on one thread, and a captured step is split there: it runs between two replayed
  // parts.
  bool capturable = true;
};

// A registered op, called like a function: its result has the shape and the dtype of the first argument.
class Op {
 public:
  Value operator()(const Value& a, Where where = Where::current()) const;
  Value operator()(const Value& a, const Value& b, Where where = Where::current()) const;
  Value operator()(const Value& a, const Value& b, const Value& c, Where where = Where::current()) const;
  Value operator()(const Value& a, const Value& b, const Value& c, const Value& d,
                   Where where = Where::current()) const;

 private:
  friend Op register_op(CustomOp op);
  friend Op register_expression(std::string name, int inputs, std::function<Expr(const Expr*)> expression);
  explicit Op(const void* schema) : schema_(schema) {}
  Value call(std::initializer_list<const Value*> inputs, Where where) const;
  const void* schema_;
};

// Throws when the name is taken.
Op register_op(CustomOp op);

// One element in the expression of an op: f32, whatever the dtype of the activations. Each operation is exact or
// rounded once, and the functions are the library's own: the same bits on every machine and at every level.
// Denormals are zero.
class Expr {
 public:
  Expr(float number) : number_(number) {}  // NOLINT: 30.0f * x

  friend Expr operator+(Expr a, Expr b);
  friend Expr operator-(Expr a, Expr b);
  friend Expr operator*(Expr a, Expr b);
  friend Expr operator/(Expr a, Expr b);
  friend Expr operator-(Expr a);
  friend Expr fma(Expr a, Expr b, Expr c);  // a * b + c, rounded once
  friend Expr min(Expr a, Expr b);          // b where one is NaN
  friend Expr max(Expr a, Expr b);
  friend Expr abs(Expr a);
  friend Expr sqrt(Expr a);
  friend Expr exp(Expr a);
  friend Expr tanh(Expr a);
  friend Expr erf(Expr a);
  friend Expr sigmoid(Expr a);
  friend Expr where_less(Expr a, Expr b, Expr then, Expr otherwise);  // a < b ? then : otherwise

 private:
  friend struct ExprAccess;
  uint64_t expression_ = 0;  // that it is of; 0: `number_` alone
  int32_t id_ = -1;
  float number_ = 0;
};

Op register_expression(std::string name, int inputs, std::function<Expr(const Expr*)> expression);

// An op that is one expression of each element of 1 to 4 inputs:
//   const reprise::Op softcap = reprise::register_elementwise(
//       "softcap", [](reprise::Expr x) { return 30.0f * tanh(x / 30.0f); });
// The first input is rows of activations; the others are of its shape and dtype, or have a number for each
// column (WeightReader::vector). The result is rounded once. The expression is called when it is registered and
// then once for each kind of input, never in a step; it may not depend on anything but its arguments. Interpreted
// at levels 0 and 1, compiled and fused with its neighbours at level 2, with the same bits. Throws when the name
// is taken, and what the expression throws.
template <typename F>
Op register_elementwise(std::string name, F expression) {
  if constexpr (std::is_invocable_r_v<Expr, F, Expr>) {
    return register_expression(std::move(name), 1,
                               [expression](const Expr* in) -> Expr { return expression(in[0]); });
  } else if constexpr (std::is_invocable_r_v<Expr, F, Expr, Expr>) {
    return register_expression(std::move(name), 2,
                               [expression](const Expr* in) -> Expr { return expression(in[0], in[1]); });
  } else if constexpr (std::is_invocable_r_v<Expr, F, Expr, Expr, Expr>) {
    return register_expression(
        std::move(name), 3, [expression](const Expr* in) -> Expr { return expression(in[0], in[1], in[2]); });
  } else {
    static_assert(std::is_invocable_r_v<Expr, F, Expr, Expr, Expr, Expr>,
                  "an elementwise op is a function of 1 to 4 Expr that returns an Expr");
    return register_expression(std::move(name), 4, [expression](const Expr* in) -> Expr {
      return expression(in[0], in[1], in[2], in[3]);
    });
  }
}

// The ops of the library. Activations are of the compute dtype, float32 or bfloat16; each op rounds once, at
// its output.
namespace nn {

Value embedding(const Value& ids, const Value& table, Where where = Where::current());
// x W^T + bias
Value linear(const Value& x, const Value& weight, const Value& bias = {}, Where where = Where::current());
// The same with the sum left in f32: the last matmul.
Value logits(const Value& x, const Value& weight, Where where = Where::current());
// Rows of x by index.
Value gather_rows(const Value& x, const Value& rows, Where where = Where::current());

// Over rows, or over each head of them where the weight has head_dim elements.
Value rms_norm(const Value& x, const Value& weight, double eps, Where where = Where::current());
Value layer_norm(const Value& x, const Value& weight, const Value& bias, double eps,
                 Where where = Where::current());

Value add(const Value& a, const Value& b, Where where = Where::current());
Value mul(const Value& a, const Value& b, Where where = Where::current());
Value silu(const Value& x, Where where = Where::current());
Value gelu(const Value& x, Where where = Where::current());
Value gelu_tanh(const Value& x, Where where = Where::current());

struct RotaryOptions {
  bool interleaved = false;  // elements (2i, 2i + 1) of a head turn together; else (i, i + rotary dims / 2)
  bool in_f32 = false;       // angles and products keep f32 until their sum is rounded
};

// Rotary position embedding as config.json says (rope_theta, rope_scaling, partial_rotary_factor ...). The
// angles of a step are computed once and serve every layer.
class Rotary {
 public:
  explicit Rotary(WeightReader& weights, const RotaryOptions& options = {});

  class Angles {
   public:
    // x [T, heads * head_dim]: queries or keys.
    Value turn(const Value& x, Where where = Where::current()) const;

   private:
    friend class Rotary;
    Angles(const Rotary& rotary, Value cos, Value sin);
    const Rotary& rotary_;
    Value cos_, sin_;
  };
  Angles angles(const ModelInputs& inputs, Where where = Where::current()) const;

 private:
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

struct AttentionOptions {
  double scale = 0;    // on the scores; 0: 1 / sqrt(head_dim)
  int64_t window = 0;  // a token sees this many keys, its own among them; 0: all
};

// Writes k and v [T, num_kv_heads * head_dim] to their slots of the layer's cache.
void kv_write(const Value& k, const Value& v, const KvCache& cache, Where where = Where::current());
// Causal attention of q [T, num_heads * head_dim] over the cache of its sequence.
Value paged_attention(const Value& q, const KvCache& cache, const AttentionOptions& options = {},
                      Where where = Where::current());
// Both, one after the other.
Value attention(const Value& q, const Value& k, const Value& v, const KvCache& cache,
                const AttentionOptions& options = {}, Where where = Where::current());

// Reads one element on the host, after all ops before have run. A model whose code calls this can only run
// op by op: tracing and capture refuse it with an error that names the op and the layer, and load() throws
// where graphs are asked for.
float host_read(const Value& x, int64_t row, int64_t column);

}  // namespace nn

}  // namespace reprise
