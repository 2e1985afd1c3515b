#include "api/text_model.h"

#include "core/error.h"
#include "weights/gguf.h"
#include "weights/gguf_vocab.h"

namespace reprise::api {
namespace {

namespace fs = std::filesystem;

std::optional<int32_t> narrow(const std::optional<int64_t>& id) {
  return id ? std::optional<int32_t>(static_cast<int32_t>(*id)) : std::nullopt;
}

// The two folders stand on one floor and may not know each other; this is where their structs meet.
tokenizer::GgufVocab convert(weights::GgufVocab&& from) {
  tokenizer::GgufVocab to;
  to.model = std::move(from.model);
  to.pre = std::move(from.pre);
  to.tokens = std::move(from.tokens);
  to.scores = std::move(from.scores);
  for (const weights::GgufTokenType type : from.types) to.token_types.push_back(static_cast<int32_t>(type));
  to.merges = std::move(from.merges);
  to.bos_id = narrow(from.bos_id);
  to.eos_id = narrow(from.eos_id);
  to.unk_id = narrow(from.unk_id);
  to.pad_id = narrow(from.pad_id);
  to.add_bos = from.add_bos;
  to.add_eos = from.add_eos;
  to.add_space_prefix = from.add_space_prefix;
  to.chat_template = std::move(from.chat_template);
  return to;
}

}  // namespace

TextModel TextModel::load(const fs::path& model, const fs::path& tokenizer, const fs::path& template_file) {
  TextModel text;
  const fs::path& source = tokenizer.empty() ? model : tokenizer;
  text.where_ = source.string();
  if (weights::is_gguf_file(source)) {
    const weights::GgufFile file(source);
    weights::GgufVocab vocab = weights::read_gguf_vocab(file.metadata());
    file.file().check();
    text.tokenizer_ = tokenizer::Tokenizer::from_gguf(convert(std::move(vocab)));
  } else if (fs::exists(source / "tokenizer.json")) {
    text.tokenizer_ = tokenizer::Tokenizer::load(source);
  } else if (!tokenizer.empty()) {
    throw Error("[tokenizer] {} has no tokenizer.json; --tokenizer names a folder with one, or a .gguf file",
                source.string());
  }
  std::string template_source;
  if (text.tokenizer_) {
    const tokenizer::TokenizerConfig& config = text.tokenizer_->config();
    for (const auto& [role, token] : config.special_tokens) text.special_tokens_[role] = token;
    if (const std::string* own = config.chat_template()) template_source = *own;
  } else {
    // Templates can be rendered without a tokenizer, as `reprise tokenizer --chat-template` does.
    const tokenizer::TokenizerConfig config = tokenizer::load_tokenizer_config(source);
    for (const auto& [role, token] : config.special_tokens) text.special_tokens_[role] = token;
    if (const std::string* own = config.chat_template()) template_source = *own;
  }
  if (!template_file.empty()) template_source = read_file(template_file);
  if (!template_source.empty()) text.template_ = tokenizer::ChatTemplate::parse(template_source);
  return text;
}

const tokenizer::Tokenizer& TextModel::tokenizer() const {
  if (!tokenizer_)
    throw Error(
        "[tokenizer] {} has no tokenizer.json; give prompts as token ids, or a folder with --tokenizer",
        where_);
  return *tokenizer_;
}

std::string TextModel::render_chat(const ChatRequest& request) const {
  if (!template_)
    throw Error("[chat template] {} has none; give one with --chat-template, or send a plain prompt", where_);
  Json context = special_tokens_;
  context["messages"] = request.messages;
  context["tools"] = request.tools;
  context["documents"] = request.documents;
  context["add_generation_prompt"] = request.add_generation_prompt;
  for (const auto& [name, value] : request.kwargs.items()) context[name] = value;
  return template_->render(context);
}

}  // namespace reprise::api
