// The web page: what it is made of, who may see it, and what a browser is told about it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

#include "server/page/page_files.h"
#include "tests/server/served_model.h"

namespace reprise::server {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string path_of(std::string_view name) {
  return name == "index.html" ? "/" : "/page/" + std::string(name);
}

TEST(Page, HasTheBytesOfItsFiles) {
  const std::filesystem::path folder = REPRISE_SOURCE_DIR "/src/server/page/files";
  const auto entries = std::filesystem::directory_iterator(folder);
  EXPECT_EQ(std::distance(begin(entries), end(entries)), std::ssize(page_files()));
  for (const PageFile& file : page_files()) {
    std::ifstream in(folder / file.name, std::ios::binary);
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), file.bytes) << file.name;
  }
}

TEST(Page, IsServedWithoutAKeyAndClosedToOtherOrigins) {
  ServerOptions options = quiet_server();
  options.service.api_keys = {"key"};
  const ServedModel served(options);
  for (const PageFile& file : page_files()) {
    const std::string path = path_of(file.name);
    const Reply reply = served.ask(get(path));
    EXPECT_EQ(reply.status, 200) << path;
    EXPECT_EQ(reply.body, file.bytes) << path;
    EXPECT_EQ(reply.field("cache-control"), "no-store");
    EXPECT_EQ(reply.field("x-content-type-options"), "nosniff");
    EXPECT_THAT(reply.field("content-security-policy"),
                testing::AllOf(HasSubstr("default-src 'none'"), HasSubstr("frame-ancestors 'none'"),
                               Not(HasSubstr("unsafe")), Not(HasSubstr("http")), Not(HasSubstr("*"))));
    const Reply head = served.ask(get(path, "", "HEAD"), true);
    EXPECT_EQ(head.status, 200);
    EXPECT_EQ(head.field("content-length"), std::to_string(file.bytes.size()));
    EXPECT_EQ(head.field("content-type"), reply.field("content-type"));
    EXPECT_EQ(served.ask(post(path, "{}")).status, 405);
  }
  EXPECT_EQ(served.ask(get("/")).field("content-type"), "text/html; charset=utf-8");
  EXPECT_EQ(served.ask(get("/page/main.js")).field("content-type"), "text/javascript; charset=utf-8");
  EXPECT_EQ(served.ask(get("/page/page.css")).field("content-type"), "text/css; charset=utf-8");
  EXPECT_EQ(served.ask(get("/page/icon.svg")).field("content-type"), "image/svg+xml");
  EXPECT_EQ(served.ask(get("/?x=1")).status, 200);
  for (const char* path : {"/page/other", "/page/../page/main.js", "/page/%2e%2e", "/page//main.js"})
    EXPECT_EQ(served.ask(get(path)).status, 404) << path;
  for (const char* path : {"/page", "/page/", "/index.html", "//"})
    EXPECT_EQ(served.ask(get(path)).status, 401) << path;
}

// What the policy would block, and what must never be done with a model's text.
TEST(Page, AsksNoOtherHostAndMakesNoMarkupOfText) {
  std::set<std::string> asked, names;
  for (const PageFile& file : page_files()) {
    const std::string text =
        std::regex_replace(std::string(file.bytes), std::regex("http://www.w3.org/2000/svg"), "");
    names.emplace(path_of(file.name).substr(1));
    EXPECT_FALSE(std::regex_search(text, std::regex("(https?:)?//[a-z0-9-]+\\.[a-z]"))) << file.name;
    for (const char* word : {"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(",
                             "new Function", "style=", "onclick", "onload", "javascript:"})
      EXPECT_THAT(text, Not(HasSubstr(word))) << file.name;
    const std::regex links("(?:src|href|from) ?=? ?\"(?:\\./)?([^#\"]+)\"");
    for (auto link = std::sregex_iterator(text.begin(), text.end(), links); link != std::sregex_iterator();
         ++link)
      asked.insert(file.name == "index.html" ? (*link)[1].str() : "page/" + (*link)[1].str());
  }
  for (const std::string& name : asked) EXPECT_TRUE(names.contains(name)) << name;
  EXPECT_GE(asked.size() + 1, names.size()) << "a file that nothing refers to";
}

}  // namespace
}  // namespace reprise::server
