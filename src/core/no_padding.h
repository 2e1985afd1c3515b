// Whether every byte of a type belongs to one of its fields. Bytes between fields (padding) hold whatever was
// in memory before, so a type with padding can't be compared, hashed or kept as bytes.
// std::has_unique_object_representations answers another question: it is false for every type with a float.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

namespace reprise {

// A field that fills what would be padding, with zeros: `Unused<4> unused{};`.
template <size_t bytes>
using Unused = std::array<uint8_t, bytes>;

namespace fields_detail {

struct ToAnything {
  template <typename T>
  operator T() const noexcept;  // never defined: for unevaluated expressions
};

// As many initialisers in braces as T takes.
template <typename T, typename... Initialisers>
consteval size_t count() {
  if constexpr (requires { T{Initialisers{}..., ToAnything{}}; })
    return count<T, Initialisers..., ToAnything>();
  else
    return sizeof...(Initialisers);
}

template <typename... Types>
struct List {};
template <typename... Fields>
List<std::remove_cvref_t<Fields>...> list(const Fields&...);

// The types of the fields of an aggregate, as a List. Only its type is used.
template <typename T>
auto fields_of(const T& v) {
  constexpr size_t n = count<T>();
  static_assert(1 <= n && n <= 16, "extend fields_of() to structs of more fields");
  // clang-format off
  if constexpr (n == 1) { auto& [a] = v; return decltype(list(a)){}; }
  else if constexpr (n == 2) { auto& [a, b] = v; return decltype(list(a, b)){}; }
  else if constexpr (n == 3) { auto& [a, b, c] = v; return decltype(list(a, b, c)){}; }
  else if constexpr (n == 4) { auto& [a, b, c, d] = v; return decltype(list(a, b, c, d)){}; }
  else if constexpr (n == 5) { auto& [a, b, c, d, e] = v; return decltype(list(a, b, c, d, e)){}; }
  else if constexpr (n == 6) { auto& [a, b, c, d, e, f] = v; return decltype(list(a, b, c, d, e, f)){}; }
  else if constexpr (n == 7) { auto& [a, b, c, d, e, f, g] = v; return decltype(list(a, b, c, d, e, f, g)){}; }
  else if constexpr (n == 8) { auto& [a, b, c, d, e, f, g, h] = v; return decltype(list(a, b, c, d, e, f, g, h)){}; }
  else if constexpr (n == 9) { auto& [a, b, c, d, e, f, g, h, i] = v; return decltype(list(a, b, c, d, e, f, g, h, i)){}; }
  else if constexpr (n == 10) { auto& [a, b, c, d, e, f, g, h, i, j] = v; return decltype(list(a, b, c, d, e, f, g, h, i, j)){}; }
  else if constexpr (n == 11) { auto& [a, b, c, d, e, f, g, h, i, j, k] = v; return decltype(list(a, b, c, d, e, f, g, h, i, j, k)){}; }
  else if constexpr (n == 12) { auto& [a, b, c, d, e, f, g, h, i, j, k, l] = v; return decltype(list(a, b, c, d, e, f, g, h, i, j, k, l)){}; }
  else if constexpr (n == 13) { auto& [a, b, c, d, e, f, g, h, i, j, k, l, m] = v; return decltype(list(a, b, c, d, e, f, g, h, i, j, k, l, m)){}; }
  else if constexpr (n == 14) { auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, o] = v; return decltype(list(a, b, c, d, e, f, g, h, i, j, k, l, m, o)){}; }
  else if constexpr (n == 15) { auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, o, p] = v; return decltype(list(a, b, c, d, e, f, g, h, i, j, k, l, m, o, p)){}; }
  else { auto& [a, b, c, d, e, f, g, h, i, j, k, l, m, o, p, q] = v; return decltype(list(a, b, c, d, e, f, g, h, i, j, k, l, m, o, p, q)){}; }
  // clang-format on
}

template <typename T>
struct IsStdArray : std::false_type {};
template <typename T, size_t n>
struct IsStdArray<std::array<T, n>> : std::true_type {};

template <typename T>
consteval bool all_bytes_used();

template <typename Whole, typename... Fields>
consteval bool fill(List<Fields...>) {
  // A field may be a pointer. NOLINTNEXTLINE(bugprone-sizeof-expression)
  return (sizeof(Fields) + ... + 0) == sizeof(Whole) && (all_bytes_used<Fields>() && ...);
}

template <typename T>
consteval bool all_bytes_used() {
  if constexpr (std::is_same_v<T, long double>)
    return false;  // 10 bytes of 16
  else if constexpr (std::is_arithmetic_v<T> || std::is_enum_v<T> || std::is_pointer_v<T>)
    return true;
  else if constexpr (IsStdArray<T>::value)
    return all_bytes_used<typename T::value_type>();
  else if constexpr (std::is_aggregate_v<T> && !std::is_empty_v<T>)
    return fill<T>(decltype(fields_of(std::declval<const T&>())){});
  else
    return std::has_unique_object_representations_v<T>;
}

}  // namespace fields_detail

// Of T without const: arithmetic types, enums, pointers, std::array, and aggregates of such with 1 to 16
// fields (an array as in C does not compile: use std::array); for another class, what the standard library
// says.
template <typename T>
inline constexpr bool kHasNoPadding = fields_detail::all_bytes_used<T>();

}  // namespace reprise
