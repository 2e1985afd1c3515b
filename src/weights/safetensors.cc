#include "weights/safetensors.h"

#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "core/file_kind.h"

namespace reprise::weights {
namespace {

namespace dom = simdjson::dom;

constexpr size_t kLengthBytes = 8;
constexpr uint64_t kMaxHeader = 100'000'000;  // the limit of the reference implementation
constexpr size_t kMaxDepth = 8;               // a header needs 3
// Far above every real file, and low enough that a hostile one costs little.
constexpr size_t kMaxTensors = size_t{1} << 18;
constexpr size_t kMaxNameBytes = size_t{1} << 10;
constexpr size_t kMaxDimensions = 16;

struct Range {
  uint64_t begin = 0;
  uint64_t end = 0;
};

class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> payload, std::string_view what) : payload_(payload), what_(what) {}

  void read(const dom::object& header) {
    for (const auto& [name, value] : header) {
      if (name == "__metadata__")
        check_metadata(value);
      else
        read_tensor(std::string(name), value);
    }
    check_cover();
  }

  std::map<std::string, FileTensor, std::less<>> take() { return std::move(tensors_); }

 private:
  [[noreturn]] void fail(std::string_view name, const std::string& why) const {
    throw Error("{}: tensor '{}' {}; the file is damaged, fetch it again", what_, name.substr(0, 200), why);
  }

  void check_metadata(const dom::element& value) const {
    dom::object fields;
    if (value.get(fields))
      throw Error("{}: __metadata__ of a safetensors header must be an object of strings", what_);
    for (const auto& [key, field] : fields)
      if (!field.is_string())
        throw Error("{}: __metadata__ of a safetensors header has a value that is no string, at '{}'", what_,
                    key.substr(0, 200));
  }

  void read_tensor(std::string name, const dom::element& value) {
    if (name.size() > kMaxNameBytes)
      fail(name,
           fmt::format("(the beginning) has a name of {} bytes, more than {}", name.size(), kMaxNameBytes));
    if (tensors_.size() >= kMaxTensors)
      throw Error("{}: more than {} tensors; the file is damaged, fetch it again", what_, kMaxTensors);
    dom::object fields;
    if (value.get(fields)) fail(name, "has a header entry that is no object");
    std::string_view dtype_name;
    dom::array shape, offsets;
    if (fields["dtype"].get(dtype_name)) fail(name, "has no dtype");
    if (fields["shape"].get(shape)) fail(name, "has no shape");
    if (fields["data_offsets"].get(offsets)) fail(name, "has no data_offsets");

    FileTensor tensor{.name = name, .info = {}, .data = {}};
    const auto type = stored_type_of_safetensors(dtype_name);
    if (!type)
      throw Error(
          "{}: tensor '{}' has dtype '{}', which this reader does not know; convert it to F32, F16 or BF16",
          what_, name, dtype_name.substr(0, 60));
    if (shape.size() > kMaxDimensions)
      fail(name, fmt::format("has {} dimensions, at most {} are possible", shape.size(), kMaxDimensions));
    tensor.info.type = *type;
    tensor.info.shape.reserve(shape.size());
    for (const dom::element& size : shape) {
      int64_t number = 0;
      if (size.get(number) || number < 0) fail(name, "has a shape that is no list of counts");
      tensor.info.shape.push_back(number);
    }
    Range range;
    if (offsets.size() != 2 || offsets.at(0).get(range.begin) || offsets.at(1).get(range.end))
      fail(name, "has data_offsets that are no pair of byte offsets");
    if (range.begin > range.end || range.end > payload_.size())
      fail(name, fmt::format("has data_offsets [{}, {}], outside the {} bytes of data", range.begin,
                             range.end, payload_.size()));
    const int64_t bytes = stored_bytes(*type, tensor.info.shape);
    if (bytes < 0 || static_cast<uint64_t>(bytes) != range.end - range.begin)
      fail(name, fmt::format("is {} of shape {} but has {} bytes of data", dtype_name,
                             shape_text(tensor.info.shape), range.end - range.begin));
    tensor.data = payload_.subspan(range.begin, range.end - range.begin);
    if (!tensors_.emplace(name, std::move(tensor)).second) fail(name, "is twice in the header");
    ranges_.push_back(range);
    names_.push_back(std::move(name));
  }

  void check_cover() {
    std::vector<size_t> order(ranges_.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return std::pair(ranges_[a].begin, ranges_[a].end) < std::pair(ranges_[b].begin, ranges_[b].end);
    });
    uint64_t covered = 0;
    for (size_t i : order) {
      if (ranges_[i].begin < covered)
        fail(names_[i], fmt::format("begins at byte {} of the data, inside the tensor that ends at {}",
                                    ranges_[i].begin, covered));
      if (ranges_[i].begin > covered)
        fail(names_[i],
             fmt::format("begins at byte {} of the data, after a hole of {} bytes, which the format forbids",
                         ranges_[i].begin, ranges_[i].begin - covered));
      covered = ranges_[i].end;
    }
    if (covered != payload_.size())
      throw Error("{}: {} bytes after the last tensor belong to none; the file is damaged, fetch it again",
                  what_, payload_.size() - covered);
  }

  std::span<const std::byte> payload_;
  std::string_view what_;
  std::map<std::string, FileTensor, std::less<>> tensors_;
  std::vector<Range> ranges_;
  std::vector<std::string> names_;
};

}  // namespace

std::map<std::string, FileTensor, std::less<>> parse_safetensors(std::span<const std::byte> data,
                                                                 std::string_view what) {
  refuse_wrong_file({reinterpret_cast<const char*>(data.data()), std::min<size_t>(data.size(), 512)},
                    data.size(), what);
  if (data.size() >= 4 && std::memcmp(data.data(), "GGUF", 4) == 0)
    throw Error("{} is a GGUF file, not safetensors; give it with the ending .gguf", what);
  if (data.size() < kLengthBytes)
    throw Error("{}: {} bytes, too short for a safetensors file; fetch it again", what, data.size());
  uint64_t length = 0;
  std::memcpy(&length, data.data(), kLengthBytes);
  if (length > kMaxHeader || length > data.size() - kLengthBytes)
    throw Error(
        "{}: header of {} bytes announced, {} bytes follow (limit {}); the file is truncated or no "
        "safetensors",
        what, length, data.size() - kLengthBytes, kMaxHeader);
  const auto* text = reinterpret_cast<const char*>(data.data() + kLengthBytes);
  if (length == 0 || text[0] != '{')
    throw Error("{}: the safetensors header does not begin with '{{'; the file is damaged, fetch it again",
                what);

  dom::parser parser;
  dom::object header;
  if (const auto code = parser.allocate(length, kMaxDepth))
    throw Error("{}: safetensors header: {}", what, simdjson::error_message(code));
  if (const auto code = parser.parse(text, length).get(header))
    throw Error("{}: malformed safetensors header: {}; the file is damaged, fetch it again", what,
                simdjson::error_message(code));
  HeaderReader reader(data.subspan(kLengthBytes + length), what);
  reader.read(header);
  return reader.take();
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(path), tensors_(parse_safetensors(file_.bytes(), file_.path())) {
  file_.check();
}

}  // namespace reprise::weights
