#include "weights/gguf.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>

#include "core/error.h"
#include "core/file_kind.h"

namespace reprise::weights {
namespace {

constexpr char kMagic[4] = {'G', 'G', 'U', 'F'};
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;
constexpr uint32_t kMaxGgufDimensions = 4;
constexpr int kMaxArrayDepth = 4;
// Far above every real file (a few thousand tensors, less than 100 keys, vocabularies of 300,000), and low
// enough that a hostile one costs some hundred megabytes at most: a file of any size is cheap to make when it
// is sparse.
constexpr uint64_t kMaxGgufTensors = uint64_t{1} << 18;
constexpr uint64_t kMaxValues = uint64_t{1} << 16;
constexpr uint64_t kMaxArrayElements = uint64_t{1} << 22;
constexpr uint64_t kMaxHeaderBytes = uint64_t{256} << 20;  // metadata and list of tensors
constexpr uint64_t kMaxGgufNameBytes = uint64_t{1} << 10;  // of a key or a tensor
// The least bytes that one of each can take: what bounds their counts.
constexpr uint64_t kMinKeyValueBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 8 + 4 + 8;

// Bytes of a value of a type with a fixed size; 0 for strings and arrays.
uint64_t fixed_size(GgufType type) {
  switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
      return 1;
    case GgufType::u16:
    case GgufType::i16:
      return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
      return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
      return 8;
    case GgufType::string:
    case GgufType::array:
      return 0;
  }
  return 0;
}

std::string_view head_of(std::span<const std::byte> data) {
  return {reinterpret_cast<const char*>(data.data()), std::min<size_t>(data.size(), 512)};
}

template <typename T>
T read_as(const std::byte* in) {
  T value;
  std::memcpy(&value, in, sizeof(T));
  return value;
}

// Reads forward through the bytes; each step is checked against what is left.
class Cursor {
 public:
  Cursor(std::span<const std::byte> data, const std::string& what) : data_(data), what_(what) {}

  uint64_t position() const { return position_; }
  uint64_t left() const { return data_.size() - position_; }
  std::span<const std::byte> since(uint64_t begin) const { return data_.subspan(begin, position_ - begin); }

  template <typename T>
  T take(std::string_view field) {
    return read_as<T>(skip(sizeof(T), field));
  }

  std::string_view take_string(std::string_view field) {
    const auto length = take<uint64_t>(field);
    return {reinterpret_cast<const char*>(skip(length, field)), length};
  }

  const std::byte* skip(uint64_t bytes, std::string_view field) {
    if (bytes > left())
      throw Error(
          "{}: {} needs {} bytes at offset {}, {} are left; the file is truncated or damaged, fetch it again",
          what_, field, bytes, position_, left());
    const std::byte* at = data_.data() + position_;
    position_ += bytes;
    return at;
  }

  std::string_view take_name(std::string_view field) {
    const std::string_view name = take_string(field);
    if (name.size() > kMaxGgufNameBytes)
      throw Error("{}: {} has {} bytes, at most {} are possible; the file is damaged, fetch it again", what_,
                  field, name.size(), kMaxGgufNameBytes);
    return name;
  }

  // A count from the file, believed up to `most` and to what the bytes left can hold.
  uint64_t take_count(std::string_view field, uint64_t most, uint64_t least_bytes) {
    return bounded(take<uint64_t>(field), field, most, least_bytes);
  }

  uint64_t bounded(uint64_t count, std::string_view field, uint64_t most, uint64_t least_bytes) const {
    if (count > most)
      throw Error("{}: {} is {}, at most {} are read; the file is damaged, fetch it again", what_, field,
                  count, most);
    if (count > left() / least_bytes)
      throw Error("{}: {} is {}, more than the {} bytes left can hold; the file is damaged, fetch it again",
                  what_, field, count, left());
    return count;
  }

 private:
  std::span<const std::byte> data_;
  const std::string& what_;
  uint64_t position_ = 0;
};

GgufType take_type(Cursor& cursor, const std::string& what, std::string_view key) {
  const auto number = cursor.take<uint32_t>("a metadata type");
  if (number > static_cast<uint32_t>(GgufType::f64))
    throw Error("{}: metadata '{}' has the unknown type {}; the file is damaged or newer than this reader",
                what, key, number);
  return static_cast<GgufType>(number);
}

void skip_value(Cursor& cursor, const std::string& what, std::string_view key, GgufType type, int depth);

// Moves past the elements; answers nothing but that they are all present.
void skip_elements(Cursor& cursor, const std::string& what, std::string_view key, GgufType element,
                   uint64_t count, int depth) {
  if (const uint64_t size = fixed_size(element)) {
    cursor.skip(cursor.bounded(count, "the length of a metadata array", kMaxArrayElements, size) * size,
                "a metadata array");
    return;
  }
  cursor.bounded(count, "the length of a metadata array", kMaxArrayElements,
                 element == GgufType::string ? 8 : 12);
  for (uint64_t i = 0; i < count; ++i) skip_value(cursor, what, key, element, depth);
}

void skip_value(Cursor& cursor, const std::string& what, std::string_view key, GgufType type, int depth) {
  if (type == GgufType::string) {
    cursor.take_string("a metadata string");
  } else if (type == GgufType::array) {
    if (depth >= kMaxArrayDepth)
      throw Error("{}: metadata '{}' nests arrays deeper than {}; the file is damaged", what, key,
                  kMaxArrayDepth);
    const GgufType element = take_type(cursor, what, key);
    const auto count = cursor.take<uint64_t>("the length of a metadata array");
    skip_elements(cursor, what, key, element, count, depth + 1);
  } else {
    cursor.skip(fixed_size(type), "a metadata value");
  }
}

GgufValue take_value(Cursor& cursor, const std::string& what, std::string_view key) {
  GgufValue value;
  value.type = take_type(cursor, what, key);
  uint64_t begin = cursor.position();
  if (value.type == GgufType::array) {
    value.element = take_type(cursor, what, key);
    value.count = cursor.take<uint64_t>("the length of a metadata array");
    begin = cursor.position();
    skip_elements(cursor, what, key, value.element, value.count, 1);
  } else {
    skip_value(cursor, what, key, value.type, 0);
  }
  value.bytes = cursor.since(begin);
  return value;
}

struct PendingTensor {
  FileTensor tensor;
  uint64_t offset = 0;  // in the data part
  uint64_t bytes = 0;
};

PendingTensor take_tensor(Cursor& cursor, const std::string& what) {
  PendingTensor pending;
  FileTensor& tensor = pending.tensor;
  tensor.name = cursor.take_name("a tensor name");
  const auto dimensions = cursor.take<uint32_t>("a tensor's number of dimensions");
  if (dimensions == 0 || dimensions > kMaxGgufDimensions)
    throw Error("{}: tensor '{}' has {} dimensions, 1 to {} are possible; the file is damaged", what,
                tensor.name, dimensions, kMaxGgufDimensions);
  tensor.info.shape.resize(dimensions);
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto size = cursor.take<uint64_t>("a tensor dimension");
    if (size == 0 || size > uint64_t{1} << 62)
      throw Error("{}: tensor '{}' has a dimension of {}; the file is damaged", what, tensor.name, size);
    tensor.info.shape[dimensions - 1 - i] =
        static_cast<int64_t>(size);  // the file has the contiguous one first
  }
  const auto number = cursor.take<uint32_t>("a tensor type");
  const auto type = stored_type_of_ggml(number);
  if (!type)
    throw Error(
        "{}: tensor '{}' has the ggml type {}, which this reader does not know; convert the model to Q8_0 or "
        "F16",
        what, tensor.name, number);
  tensor.info.type = *type;
  pending.offset = cursor.take<uint64_t>("a tensor offset");
  const int64_t bytes = stored_bytes(*type, tensor.info.shape);
  if (bytes < 0)
    throw Error(
        "{}: tensor '{}' of type {} cannot have the shape {}: too large, or rows that are no whole blocks of "
        "{}",
        what, tensor.name, traits_of(*type).name, shape_text(tensor.info.shape), traits_of(*type).block);
  pending.bytes = static_cast<uint64_t>(bytes);
  return pending;
}

void place_tensors(std::vector<PendingTensor>& pending, std::span<const std::byte> data, uint64_t alignment,
                   const std::string& what) {
  std::sort(pending.begin(), pending.end(), [](const auto& a, const auto& b) { return a.offset < b.offset; });
  uint64_t covered = 0;
  for (PendingTensor& p : pending) {
    const std::string& name = p.tensor.name;
    if (p.offset % alignment != 0)
      throw Error("{}: tensor '{}' lies at offset {}, no multiple of the alignment {}; the file is damaged",
                  what, name, p.offset, alignment);
    if (p.offset > data.size() || p.bytes > data.size() - p.offset)
      throw Error(
          "{}: tensor '{}' needs {} bytes at offset {} of {} bytes of data; the file is truncated, fetch it "
          "again",
          what, name, p.bytes, p.offset, data.size());
    if (p.offset < covered)
      throw Error(
          "{}: tensor '{}' at offset {} overlaps the tensor before it, which ends at {}; the file is damaged",
          what, name, p.offset, covered);
    covered = p.offset + p.bytes;
    p.tensor.data = data.subspan(p.offset, p.bytes);
  }
}

uint64_t alignment_of(const GgufMetadata& metadata) {
  const int64_t alignment = metadata.integer("general.alignment").value_or(kDefaultAlignment);
  if (alignment < 8 || static_cast<uint64_t>(alignment) > kMaxAlignment ||
      !std::has_single_bit(static_cast<uint64_t>(alignment)))
    throw Error("{}: general.alignment is {}, expected a power of two from 8 to {}", metadata.what(),
                alignment, kMaxAlignment);
  return static_cast<uint64_t>(alignment);
}

void check_version(uint32_t version, const std::string& what) {
  if (version == 2 || version == 3) return;
  if (version != 0 && (version & 0xffffu) == 0)
    throw Error("{}: a big-endian GGUF file; this reader takes little-endian ones, convert it", what);
  throw Error("{}: GGUF version {}, versions 2 and 3 are read; convert it with a current llama.cpp", what,
              version);
}

std::optional<int64_t> integer_at(GgufType type, const std::byte* at) {
  switch (type) {
    case GgufType::u8:
      return read_as<uint8_t>(at);
    case GgufType::i8:
      return read_as<int8_t>(at);
    case GgufType::u16:
      return read_as<uint16_t>(at);
    case GgufType::i16:
      return read_as<int16_t>(at);
    case GgufType::u32:
      return read_as<uint32_t>(at);
    case GgufType::i32:
      return read_as<int32_t>(at);
    case GgufType::i64:
      return read_as<int64_t>(at);
    case GgufType::u64: {
      const auto value = read_as<uint64_t>(at);
      if (value > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
      return static_cast<int64_t>(value);
    }
    default:
      return std::nullopt;
  }
}

std::optional<double> number_at(GgufType type, const std::byte* at) {
  if (type == GgufType::f32) return read_as<float>(at);
  if (type == GgufType::f64) return read_as<double>(at);
  const auto integer = integer_at(type, at);
  if (!integer) return std::nullopt;
  return static_cast<double>(*integer);
}

}  // namespace

GgufContents parse_gguf(std::span<const std::byte> data, const std::string& what) {
  if (data.size() < sizeof(kMagic) || std::memcmp(data.data(), kMagic, sizeof(kMagic)) != 0) {
    refuse_wrong_file(head_of(data), data.size(), what);
    throw Error("{}: no GGUF file: it does not begin with 'GGUF'", what);
  }
  Cursor cursor(data.first(std::min<uint64_t>(data.size(), kMaxHeaderBytes)), what);
  cursor.skip(sizeof(kMagic), "the magic");
  GgufContents contents;
  contents.version = cursor.take<uint32_t>("the version");
  check_version(contents.version, what);
  const auto tensor_count = cursor.take<uint64_t>("the number of tensors");
  const auto value_count = cursor.take_count("the number of metadata values", kMaxValues, kMinKeyValueBytes);
  cursor.bounded(tensor_count, "the number of tensors", kMaxGgufTensors, kMinTensorBytes);  // again below

  std::map<std::string, GgufValue, std::less<>> values;
  for (uint64_t i = 0; i < value_count; ++i) {
    const std::string_view key = cursor.take_name("a metadata key");
    if (!values.emplace(key, take_value(cursor, what, key)).second)
      throw Error("{}: metadata '{}' is there twice; the file is damaged", what, key);
  }
  contents.metadata = GgufMetadata(what, std::move(values));

  cursor.bounded(tensor_count, "the number of tensors", kMaxGgufTensors, kMinTensorBytes);
  std::vector<PendingTensor> pending;
  pending.reserve(tensor_count);
  for (uint64_t i = 0; i < tensor_count; ++i) pending.push_back(take_tensor(cursor, what));

  const uint64_t alignment = alignment_of(contents.metadata);
  const uint64_t data_begin = (cursor.position() + alignment - 1) / alignment * alignment;
  place_tensors(pending, data.subspan(std::min<uint64_t>(data_begin, data.size())), alignment, what);
  for (PendingTensor& p : pending) {
    std::string name = p.tensor.name;
    if (!contents.tensors.emplace(name, std::move(p.tensor)).second)
      throw Error("{}: tensor '{}' is there twice; the file is damaged", what, name);
  }
  return contents;
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  const auto it = values_.find(key);
  return it == values_.end() ? nullptr : &it->second;
}

void GgufMetadata::wrong_type(std::string_view key, const GgufValue& value, std::string_view expected) const {
  static constexpr std::string_view kNames[] = {"uint8",  "int8",    "uint16",  "int16",  "uint32",
                                                "int32",  "float32", "boolean", "string", "array",
                                                "uint64", "int64",   "float64"};
  throw Error("{}: metadata '{}' is of type {}, expected {}", what_, key,
              kNames[static_cast<uint32_t>(value.type)], expected);
}

std::optional<std::string_view> GgufMetadata::string(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::nullopt;
  if (value->type != GgufType::string) wrong_type(key, *value, "a string");
  return std::string_view(reinterpret_cast<const char*>(value->bytes.data()) + 8, value->bytes.size() - 8);
}

std::optional<int64_t> GgufMetadata::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::nullopt;
  const auto integer = integer_at(value->type, value->bytes.data());
  if (!integer) wrong_type(key, *value, "an integer below 2^63");
  return integer;
}

std::optional<int64_t> GgufMetadata::uniform_integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value || value->type != GgufType::array) return integer(key);
  const uint64_t size = fixed_size(value->element);
  std::optional<int64_t> first;
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto element = size ? integer_at(value->element, value->bytes.data() + i * size) : std::nullopt;
    if (!element) wrong_type(key, *value, "an integer or a list of them");
    if (!first) first = element;
    if (*element != *first)
      throw Error("{}: metadata '{}' differs between layers ({} and {}), which is not supported", what_, key,
                  *first, *element);
  }
  if (!first) wrong_type(key, *value, "an integer or a list of at least one");
  return first;
}

std::optional<double> GgufMetadata::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::nullopt;
  const auto number = number_at(value->type, value->bytes.data());
  if (!number) wrong_type(key, *value, "a number");
  return number;
}

std::optional<bool> GgufMetadata::boolean(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::nullopt;
  if (value->type != GgufType::boolean) wrong_type(key, *value, "a boolean");
  return read_as<uint8_t>(value->bytes.data()) != 0;
}

std::optional<std::vector<std::string_view>> GgufMetadata::strings(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::nullopt;
  if (value->type != GgufType::array || value->element != GgufType::string)
    wrong_type(key, *value, "a list of strings");
  std::vector<std::string_view> strings;
  strings.reserve(value->count);
  Cursor cursor(value->bytes, what_);
  for (uint64_t i = 0; i < value->count; ++i) strings.push_back(cursor.take_string("a metadata string"));
  return strings;
}

std::optional<std::vector<int64_t>> GgufMetadata::integers(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::nullopt;
  if (value->type != GgufType::array) wrong_type(key, *value, "a list of integers");
  const uint64_t size = fixed_size(value->element);
  std::vector<int64_t> integers;
  if (size) integers.reserve(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto integer = size ? integer_at(value->element, value->bytes.data() + i * size) : std::nullopt;
    if (!integer) wrong_type(key, *value, "a list of integers");
    integers.push_back(*integer);
  }
  return integers;
}

std::optional<std::vector<float>> GgufMetadata::floats(std::string_view key) const {
  const GgufValue* value = find(key);
  if (!value) return std::nullopt;
  if (value->type != GgufType::array) wrong_type(key, *value, "a list of numbers");
  const uint64_t size = fixed_size(value->element);
  std::vector<float> floats;
  if (size) floats.reserve(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto number = size ? number_at(value->element, value->bytes.data() + i * size) : std::nullopt;
    if (!number) wrong_type(key, *value, "a list of numbers");
    floats.push_back(static_cast<float>(*number));
  }
  return floats;
}

bool is_gguf_file(const std::filesystem::path& path) {
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;  // opening a pipe would wait
  std::ifstream in(path, std::ios::binary);
  char magic[sizeof(kMagic)] = {};
  return in.read(magic, sizeof(magic)) && std::memcmp(magic, kMagic, sizeof(kMagic)) == 0;
}

}  // namespace reprise::weights
