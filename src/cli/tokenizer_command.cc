// `reprise tokenizer`: text to ids and back, and chat templates rendered, one text or a file of them.
#include <cstdio>
#include <fstream>
#include <iostream>

#include "api/text_model.h"
#include "cli/commands.h"
#include "core/error.h"
#include "core/json.h"

namespace reprise::cli {
namespace {

struct Flags {
  std::string model, chat_template, encode, decode, count, batch;
  bool has_encode = false;
  bool skip_special_tokens = false;
};

std::vector<int32_t> ids_of(const Json& value) {
  if (!value.is_array()) throw Error("[token_ids] is {}, expected a list of token ids", to_json_text(value));
  std::vector<int32_t> ids;
  for (const Json& id : value) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() > INT32_MAX)
      throw Error("[token_ids] holds {}, expected token ids", to_json_text(id));
    ids.push_back(id.get<int32_t>());
  }
  return ids;
}

bool flag_of(const Json& line, const char* name, bool fallback) {
  const auto found = line.find(name);
  if (found == line.end() || found->is_null()) return fallback;
  if (!found->is_boolean()) throw Error("[{}] is {}, expected true or false", name, to_json_text(*found));
  return found->get<bool>();
}

Json value_or_null(const Json& line, const char* name) {
  return line.contains(name) ? line.at(name) : Json();
}

Json answer(const api::TextModel& text, const std::string& raw) {
  const Json line = parse_json(raw, "batch line");
  if (!line.is_object()) throw Error("[batch line] is no object; expected text, token_ids or messages");
  if (line.contains("messages")) {
    api::ChatRequest request{.messages = line.at("messages"),
                             .tools = value_or_null(line, "tools"),
                             .documents = value_or_null(line, "documents"),
                             .add_generation_prompt = flag_of(line, "add_generation_prompt", false)};
    if (line.contains("chat_template_kwargs") && !line.at("chat_template_kwargs").is_null()) {
      request.kwargs = line.at("chat_template_kwargs");
      if (!request.kwargs.is_object()) throw Error("[chat_template_kwargs] is no object");
    }
    const api::ChatPrompt prompt = text.render_chat(request);
    Json result = {{"prompt", prompt.text}};
    if (text.has_tokenizer()) result["token_ids"] = text.encode_chat(prompt);
    return result;
  }
  if (line.contains("token_ids"))
    return {{"text", text.tokenizer().decode(ids_of(line.at("token_ids")),
                                             flag_of(line, "skip_special_tokens", true))}};
  if (line.contains("text")) {
    if (!line.at("text").is_string())
      throw Error("[text] is {}, expected a string", to_json_text(line.at("text")));
    return {{"token_ids", text.tokenizer().encode(line.at("text").get<std::string>(),
                                                  flag_of(line, "add_special_tokens", true))}};
  }
  throw Error("[batch line] has none of text, token_ids and messages");
}

int run_batch(const api::TextModel& text, const std::string& path) {
  std::ifstream file;
  if (path != "-") {
    file.open(path, std::ios::binary);
    if (!file) throw Error("[--batch] cannot open {}", path);
  }
  std::istream& in = path == "-" ? std::cin : file;
  for (std::string line; std::getline(in, line);) {
    Json result;
    try {
      result = answer(text, line);
    } catch (const std::exception& e) {
      result = {{"error", e.what()}};
    }
    const std::string out = to_json_text(result) + "\n";
    if (std::fwrite(out.data(), 1, out.size(), stdout) != out.size())
      throw Error("cannot write to standard output");
  }
  return 0;
}

int run(const Flags& flags) {
  const api::TextModel text = api::TextModel::load(flags.model, {}, flags.chat_template);
  if (flags.has_encode) {
    std::string line;
    for (const int32_t id : text.tokenizer().encode(flags.encode))
      line += (line.empty() ? "" : ",") + std::to_string(id);
    std::printf("%s\n", line.c_str());
  }
  if (!flags.decode.empty())
    std::printf("%s\n", text.tokenizer()
                            .decode(ids_of(parse_json("[" + flags.decode + "]", "--decode")),
                                    flags.skip_special_tokens)
                            .c_str());
  if (!flags.count.empty()) std::printf("%zu\n", text.tokenizer().encode(read_file(flags.count)).size());
  if (!flags.batch.empty()) return run_batch(text, flags.batch);
  return 0;
}

}  // namespace

Run add_tokenizer(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("tokenizer", "Text to token ids and back; chat templates rendered");
  auto flags = std::make_shared<Flags>();
  command->add_option("--model", flags->model, "folder with tokenizer.json, or a .gguf file")->required();
  command->add_option("--chat-template", flags->chat_template,
                      "file with a Jinja template in place of the model's own");
  CLI::Option_group* what = command->add_option_group("what", "one of");
  what->add_option_function<std::string>(
      "--encode",
      [flags](const std::string& text) {
        flags->encode = text;
        flags->has_encode = true;
      },
      "text to ids");
  what->add_option("--decode", flags->decode, "ids, 1,2,3, to text");
  what->add_option("--count", flags->count, "number of tokens of a file");
  what->add_option("--batch", flags->batch,
                   "lines of JSON: text, token_ids or messages; - is standard input");
  what->require_option(1);
  command->add_flag("--skip-special-tokens", flags->skip_special_tokens,
                    "leave special tokens out of --decode's text");
  return [flags] { return run(*flags); };
}

}  // namespace reprise::cli
