#include "core/json_fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "core/error.h"
#include "core/json.h"

namespace reprise {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <typename Action>
std::string error_of(Action action) {
  try {
    action();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

TEST(JsonFields, ReadsTypedValues) {
  const Json json = Json::parse(R"({"i":-3,"d":2.5,"b":true,"s":"x","n":null,"l":[1,2],"t":["a","b"]})");
  const JsonFields fields(json, "c.json");
  EXPECT_EQ(fields.integer("i"), -3);
  EXPECT_EQ(fields.number("d"), 2.5);
  EXPECT_EQ(fields.number("i"), -3.0);
  EXPECT_EQ(fields.boolean("b"), true);
  EXPECT_EQ(fields.string("s"), "x");
  EXPECT_EQ(fields.integer("n"), std::nullopt);
  EXPECT_FALSE(fields.has("n"));
  EXPECT_TRUE(fields.present("n"));
  EXPECT_FALSE(fields.present("absent"));
  EXPECT_THAT(fields.integers("l"), ElementsAre(1, 2));
  EXPECT_THAT(fields.integers("i"), ElementsAre(-3));
  EXPECT_THAT(fields.value("t")->strings(), ElementsAre("a", "b"));
  EXPECT_THAT(fields.value("s")->strings(), ElementsAre("x"));
  EXPECT_EQ(fields.value("l")->items().at(1).name(), "c.json: 'l'[1]");
}

TEST(JsonFields, NestedFieldsAreNamedByTheirPath) {
  const Json json = Json::parse(R"({"a":{"b":{"c":1},"l":[{"d":null}]},"s":"x"})");
  const JsonFields file(json, "c.json");
  const JsonFields a = file.at("a").fields();
  EXPECT_EQ(a.at("b").fields().at("c").name(), "c.json: 'a.b.c'");
  const JsonFields item = a.at("l").items().at(0).fields();
  EXPECT_EQ(item.name_of("d"), "c.json: 'a.l'[0].d");
  EXPECT_EQ(error_of([&] { item.at("d"); }), "c.json: 'a.l'[0].d is missing");
  EXPECT_EQ(error_of([&] { file.at("s").fields(); }), "c.json: 's' is \"x\", expected an object");
}

TEST(JsonFields, ErrorsNameTheFieldAndShowTheValue) {
  const Json json =
      Json::parse(R"({"i":1.5,"big":18446744073709551615,"s":[],"t":[1],"l":[1,"x"],"deep":{"a":[1,2]}})");
  const JsonFields file(json, "c.json");
  const JsonFields flag(json, "--flag", FieldNames::flag);
  const JsonFields request(json, "prompt line", FieldNames::request);
  EXPECT_EQ(error_of([&] { file.integer("i"); }), "c.json: 'i' is 1.5, expected an integer below 2^63");
  EXPECT_EQ(error_of([&] { flag.integer("i", 0, 2); }),
            "[--flag] \"i\" is 1.5, expected an integer from 0 to 2");
  EXPECT_EQ(error_of([&] { request.boolean("i"); }), "[i] is 1.5, expected true or false");
  EXPECT_THAT(error_of([&] { file.integer("big"); }),
              HasSubstr("is 18446744073709551615, expected an integer"));
  EXPECT_THAT(error_of([&] { request.string("s"); }), HasSubstr("[s] is [], expected a string"));
  EXPECT_THAT(error_of([&] { file.integers("l"); }), HasSubstr("'l'[1] is \"x\", expected an integer"));
  EXPECT_THAT(error_of([&] { request.value("t")->strings(); }), HasSubstr("[t][0] is 1, expected a string"));
  EXPECT_THAT(error_of([&] { request.value("l")->strings(1); }), HasSubstr("a list of at most 1 strings"));
  EXPECT_THAT(error_of([&] { file.size("absent", 5); }),
              HasSubstr("'absent' is missing, expected a whole number"));
  EXPECT_THAT(error_of([&] { file.number("deep"); }), HasSubstr("{\"a\":[1,2]}, expected a finite number"));
  EXPECT_EQ(error_of([&] { JsonFields(Json::array(), "c.json"); }),
            "c.json: expected a JSON object, found array");
  const Json infinite = parse_json("{\"x\":-Infinity}", "c", kCheckpointJson);
  EXPECT_THAT(error_of([&] { JsonFields(infinite, "c").number("x"); }),
              HasSubstr("'x' is -Infinity, expected"));
}

TEST(JsonFields, LongValuesAreShortenedInErrors) {
  Json json;
  json["s"] = std::string(1 << 20, 'x');
  json["l"] = std::vector<int>(1 << 20, 7);
  const JsonFields fields(json, "c");
  EXPECT_LT(error_of([&] { fields.integer("s"); }).size(), 200u);
  EXPECT_LT(error_of([&] { fields.integer("l"); }).size(), 200u);
  const Json long_key = {{std::string(1 << 20, 'k'), 1}};
  EXPECT_LT(error_of([&] { JsonFields(long_key, "c").refuse_unknown({}); }).size(), 400u);
}

TEST(JsonFields, UnknownKeysAreNamedWithTheNearest) {
  const Json json = Json::parse(R"({"top_p":1,"tempertaure":2})");
  constexpr std::array<std::string_view, 2> kKnown = {"top_p", "temperature"};
  EXPECT_EQ(
      error_of([&] { JsonFields(json, "prompt line", FieldNames::request).refuse_unknown(kKnown, "field"); }),
      "[prompt line] \"tempertaure\" is no field, did you mean \"temperature\"?; the fields are top_p, "
      "temperature");
}

}  // namespace
}  // namespace reprise
