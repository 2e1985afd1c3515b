#include "client/load/dataset.h"

#include <simdjson.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "client/load/random_numbers.h"
#include "core/error.h"

namespace reprise::client {
namespace {

constexpr size_t kMostBytes = size_t{4} << 30;  // what simdjson takes
constexpr size_t kMostTurn = size_t{16} << 10;

// False: this one does not begin with a question and its answer.
bool read_pair(simdjson::ondemand::value item, DatasetPair& pair) {
  simdjson::ondemand::array turns;
  if (item["conversations"].get_array().get(turns) != simdjson::SUCCESS) return false;
  int taken = 0;
  for (auto turn : turns) {
    if (taken == 2) break;
    simdjson::ondemand::object object;
    if (turn.get_object().get(object) != simdjson::SUCCESS) return false;
    std::string_view from, value;
    for (auto field : object) {
      std::string_view key;
      if (field.unescaped_key().get(key) != simdjson::SUCCESS) return false;
      std::string_view* to = key == "from" ? &from : key == "value" ? &value : nullptr;
      if (to != nullptr && field.value().get_string().get(*to) != simdjson::SUCCESS) return false;
    }
    const bool person = from == "human" || from == "user";
    if (person != (taken == 0) || value.empty() || value.size() > kMostTurn) return false;
    (taken++ == 0 ? pair.prompt : pair.answer) = value;
  }
  return taken == 2;
}

}  // namespace

std::vector<DatasetPair> read_dataset(const std::string& path, size_t count, uint64_t seed) {
  simdjson::padded_string text;
  if (const auto failed = simdjson::padded_string::load(path).get(text); failed != simdjson::SUCCESS)
    throw Error("[--dataset] {} cannot be read: {}", path, simdjson::error_message(failed));
  if (text.size() >= kMostBytes)
    throw Error("[--dataset] {} has {} bytes, at most {} are read", path, text.size(), kMostBytes);
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document document;
  simdjson::ondemand::array list;
  auto failed = parser.iterate(text).get(document);
  if (failed == simdjson::SUCCESS) failed = document.get_array().get(list);
  if (failed != simdjson::SUCCESS)
    throw Error("[--dataset] {} is no JSON list of conversations: {}", path, simdjson::error_message(failed));
  // Each of those read so far is kept with the same probability.
  RandomNumbers random(seed);
  std::vector<DatasetPair> kept;
  size_t seen = 0, number = 0;
  for (auto item : list) {
    ++number;
    simdjson::ondemand::value value;
    if (const auto broken = item.get(value); broken != simdjson::SUCCESS)
      throw Error("[--dataset] {}: entry {} is malformed: {}", path, number, simdjson::error_message(broken));
    DatasetPair pair;
    if (!read_pair(value, pair)) continue;
    const auto place = kept.size() < count ? kept.size() : static_cast<size_t>(random.below(seen + 1));
    ++seen;
    if (kept.size() < count)
      kept.push_back(std::move(pair));
    else if (place < count)
      kept[place] = std::move(pair);
  }
  if (kept.empty())
    throw Error(
        "[--dataset] {} has no conversation of a person's turn and its answer; expected [{{\"conversations\": [{{\"from\": "
        "\"human\", \"value\": ..}}, {{\"from\": \"gpt\", \"value\": ..}}]}}, ..]",
        path);
  for (size_t i = kept.size(); i > 1; --i) std::swap(kept[i - 1], kept[random.below(i)]);
  return kept;
}

}  // namespace reprise::client
