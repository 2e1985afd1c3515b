#include "api/text_model.h"

#include <algorithm>
#include <mutex>

#include "core/error.h"
#include "core/json.h"
#include "weights/gguf.h"
#include "weights/gguf_vocab.h"

namespace reprise::api {
namespace {

namespace fs = std::filesystem;

// Variables of a template that are fields of the request, or functions that every template has.
constexpr std::string_view kReservedNames[] = {
    "messages",      "tools",           "documents",    "add_generation_prompt", "continue_final_message",
    "chat_template", "raise_exception", "strftime_now",
};

void check_kwargs(const Json& kwargs) {
  for (const auto& [name, value] : kwargs.items()) {
    if (std::find(std::begin(kReservedNames), std::end(kReservedNames), name) != std::end(kReservedNames)) {
      throw Error(
          "[chat_template_kwargs] \"{}\" may not be replaced here, since the request itself says it; leave "
          "it out",
          name);
    }
  }
}

tokenizer::Tokenizer read_gguf_tokenizer(const fs::path& path) {
  const weights::GgufFile file(path);
  const GgufVocab vocab = weights::read_gguf_vocab(file.metadata());
  file.file().check();
  return tokenizer::Tokenizer::from_gguf(vocab);
}

}  // namespace

// A template that is parsed when it is first used.
class TextModel::LazyTemplate {
 public:
  explicit LazyTemplate(std::string source) : source_(std::move(source)) {}
  // Throws Error when the template can't be parsed, each time.
  const tokenizer::ChatTemplate& get() const {
    // Not std::call_once: when its function throws, waiters hang under ThreadSanitizer.
    const std::lock_guard lock(mutex_);
    if (!parsed_) parsed_ = tokenizer::ChatTemplate::parse(source_);
    return *parsed_;
  }

 private:
  std::string source_;
  mutable std::mutex mutex_;
  mutable std::optional<tokenizer::ChatTemplate> parsed_;
};

TextModel TextModel::load(const fs::path& model, const Options& options) {
  TextModel text;
  const fs::path& source = options.tokenizer.empty() ? model : options.tokenizer;
  text.where_ = source.string();
  text.control_tokens_in_content_ = options.control_tokens_in_content;
  if (weights::is_gguf_file(source)) {
    text.tokenizer_ = read_gguf_tokenizer(source);
  } else if (fs::exists(source / "tokenizer.json")) {
    text.tokenizer_ = tokenizer::Tokenizer::load(source);
  } else if (!options.tokenizer.empty()) {
    throw Error("[tokenizer] {} has no tokenizer.json; --tokenizer names a folder with one, or a .gguf file",
                source.string());
  }
  // Templates can be rendered without a tokenizer, as `reprise tokenizer --chat-template` does.
  text.config_ = text.tokenizer_ ? text.tokenizer_->config() : tokenizer::load_tokenizer_config(source);
  if (!options.chat_template.empty()) {
    text.config_.named_templates = false;
    text.config_.template_problem.clear();
    text.config_.chat_templates = {{"default", read_file(options.chat_template)}};
  }
  for (const auto& [name, template_source] : text.config_.chat_templates) {
    if (!template_source.empty())
      text.templates_.emplace_back(name, std::make_shared<const LazyTemplate>(template_source));
  }
  return text;
}

const tokenizer::Tokenizer& TextModel::tokenizer() const {
  if (!tokenizer_)
    throw Error(
        "[tokenizer] {} has no tokenizer.json; give prompts as token ids, or a folder with --tokenizer",
        where_);
  return *tokenizer_;
}

tokenizer::ChatTemplate TextModel::choose_template(const ChatRequest& request) const {
  if (!request.chat_template.empty()) return tokenizer::ChatTemplate::parse(request.chat_template);
  if (!config_.template_problem.empty()) throw Error("{}", config_.template_problem);
  const std::string* chosen = config_.choose_chat_template(!request.tools.is_null());
  for (const auto& [name, lazy] : templates_) {
    if (chosen == config_.chat_template(name)) return lazy->get();
  }
  throw Error("[chat template] {} has none; give one with --chat-template, or send a plain prompt", where_);
}

ChatPrompt TextModel::render_chat(const ChatRequest& request, const std::atomic<bool>* cancel) const {
  if (!config_.role_problem.empty()) throw Error("{}", config_.role_problem);
  check_kwargs(request.kwargs);
  const tokenizer::ChatTemplate chat_template = choose_template(request);
  Json context = Json::object();
  context["messages"] = request.messages;
  context["tools"] = request.tools;
  context["documents"] = request.documents;
  context["add_generation_prompt"] = request.add_generation_prompt;
  for (const auto& [role, token] : config_.special_tokens)
    if (!request.kwargs.contains(role)) context[role] = token;
  // Their names differ from each other and from those above, so nothing is searched: `context[name]` would
  // look through all names before it.
  Json::object_t::Container& variables = context.get_ref<Json::object_t&>();
  for (const auto& [name, value] : request.kwargs.items()) variables.emplace_back(name, value);
  tokenizer::RenderedChat rendered = chat_template.render_chat(context, cancel);
  if (control_tokens_in_content_) rendered.untrusted.clear();
  return {std::move(rendered.text), std::move(rendered.untrusted)};
}

std::vector<int32_t> TextModel::encode_chat(const ChatPrompt& prompt, size_t max_tokens) const {
  return tokenizer().encode(prompt.text,
                            {.add_special_tokens = false, .plain = prompt.plain, .max_tokens = max_tokens});
}

}  // namespace reprise::api
