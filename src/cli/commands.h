// The commands of `reprise`. Each function adds one command with its flags to the program.
#pragma once

namespace reprise::cli {

class Command;

void add_generate(Command& program);
void add_chat(Command& program);
void add_complete(Command& program);
void add_tokenizer(Command& program);
void add_bench(Command& program);
void add_bench_serve(Command& bench);  // of add_bench() alone
void add_plan(Command& program);
void add_check(Command& program);
void add_explain(Command& program);
void add_graph(Command& program);
void add_compile(Command& program);
void add_cache(Command& program);
void add_serve(Command& program);
void add_replay(Command& program);
void add_collect_env(Command& program);

}  // namespace reprise::cli
