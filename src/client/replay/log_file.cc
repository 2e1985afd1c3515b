#include "client/replay/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "core/error.h"
#include "core/json.h"
#include "core/json_fields.h"

namespace reprise::client {
namespace {

constexpr JsonLimits kLineJson = {
    .max_depth = 16, .max_bytes = LogFile::kMostLineBytes, .exact_integers = true};

std::vector<float> floats_of(const JsonFields& fields, std::string_view name) {
  std::vector<float> values;
  const auto list = fields.value(name);
  if (!list) return values;
  for (const JsonValue& item : list->items()) values.push_back(static_cast<float>(item.number()));
  return values;
}

LoggedOutput output_of(const JsonFields& fields) {
  LoggedOutput output;
  for (const int64_t id : fields.at("token_ids").integers(0, INT32_MAX))
    output.token_ids.push_back(static_cast<int32_t>(id));
  output.logprobs = floats_of(fields, "logprobs");
  output.prompt_logprobs = floats_of(fields, "prompt_logprobs");
  output.text_bytes = static_cast<uint64_t>(fields.at("text_bytes").integer(0));
  const std::string digest = fields.at("text_fnv1a").string();
  const auto [end, status] =
      std::from_chars(digest.data(), digest.data() + digest.size(), output.text_fnv1a, 16);
  if (status != std::errc() || end != digest.data() + digest.size() || digest.size() != 16)
    fields.at("text_fnv1a").fail("16 hexadecimal digits");
  output.finish_reason = fields.at("finish_reason").string();
  if (!output.logprobs.empty() && output.logprobs.size() != output.token_ids.size())
    fields.at("logprobs").fail("one for each of token_ids");
  return output;
}

std::string read_at(int file, uint64_t begin, size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t at = 0; at < bytes;) {
    const ssize_t got = pread(file, text.data() + at, bytes - at, static_cast<off_t>(begin + at));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw Error("cannot be read: {}", got == 0 ? "it became shorter" : std::strerror(errno));
    at += static_cast<size_t>(got);
  }
  return text;
}

}  // namespace

LoggedLine parse_logged_line(std::string_view text) {
  const Json json = parse_json(text, "the line", kLineJson);
  const JsonFields fields(json, "the line");
  if (const int64_t version = fields.at("version").integer(); version != 1)
    throw Error("'version' is {}, and this program knows 1; use the program that wrote it", version);
  LoggedLine line{.id = fields.at("id").string(),
                  .path = fields.at("path").string(),
                  .body = fields.at("body").string(),
                  .fingerprint = fields.at("fingerprint").string(),
                  .end = fields.at("end").string(),
                  .status = static_cast<int>(fields.at("status").integer(100, 599))};
  const auto plain = [](char c) { return c > ' ' && c < 127; };
  if (!line.path.starts_with('/') || !std::ranges::all_of(line.path, plain)) fields.at("path").fail("a path");
  if (const auto seeds = fields.value("drawn_seeds"))
    for (const JsonValue& seed : seeds->items()) {
      if (!seed.json().is_number_unsigned()) seed.fail("an integer of 64 bits");
      line.drawn_seeds.push_back(seed.json().get<uint64_t>());
    }
  for (const JsonValue& prompt : fields.at("prompts").items()) {
    LoggedPrompt& to = line.prompts.emplace_back();
    to.tokens = prompt.fields().at("prompt_tokens").integer(0);
    for (const JsonValue& output : prompt.fields().at("outputs").items())
      to.outputs.push_back(output_of(output.fields()));
  }
  return line;
}

LogFile::LogFile(const std::string& path)
    : path_(path), file_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  struct stat about = {};
  if (file_ < 0 || fstat(file_, &about) != 0)
    throw Error("[replay] {} can't be opened: {}", path, std::strerror(errno));
  if (!S_ISREG(about.st_mode)) {
    close(file_);
    throw Error("[replay] {} is no regular file; give the file of --request-log", path);
  }
  try {
    Place place{.number = 1};
    const auto add = [&](bool ended) {
      place.ended = ended;
      if (place.bytes > 0) places_.push_back(place);
    };
    constexpr size_t kPiece = size_t{1} << 20;
    for (uint64_t at = 0, size = static_cast<uint64_t>(about.st_size); at < size;) {
      const std::string piece =
          read_at(file_, at, static_cast<size_t>(std::min<uint64_t>(kPiece, size - at)));
      for (size_t i = 0; i < piece.size();) {
        const size_t end = piece.find('\n', i);
        place.bytes += std::min(end, piece.size()) - i;
        if (place.bytes > kMostLineBytes)
          throw Error("line {} has more than {} bytes; it is no line of --request-log", place.number,
                      kMostLineBytes);
        if (end == std::string::npos) break;
        add(true);
        i = end + 1;
        place = {.number = place.number + 1, .begin = at + i};
      }
      at += piece.size();
    }
    add(false);
  } catch (const Error& error) {
    close(file_);
    throw Error("[replay] {} {}", path, error.what());
  }
  if (places_.empty()) {
    close(file_);
    throw Error("[replay] {} holds no request; give the file of --request-log", path);
  }
}

LogFile::~LogFile() {
  close(file_);
}

std::string LogFile::name_of(size_t index) const {
  return fmt::format("[replay] {} line {}", path_, number(index));
}

LoggedLine LogFile::line(size_t index) const {
  const Place& place = places_.at(index);
  try {
    return parse_logged_line(read_at(file_, place.begin, static_cast<size_t>(place.bytes)));
  } catch (const Error& error) {
    throw Error("{}: {}{}", name_of(index), error.what(),
                place.ended
                    ? ""
                    : "; it is the last and has no end, as after a crash: remove it, or give --skip-broken");
  }
}

}  // namespace reprise::client
