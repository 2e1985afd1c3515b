// What stands before a matmul and behind it, and where asked for products, as parts of one function:
// kernels/cpu/coded_matmul.cc calls them one by one, and the product by hand where there is none.
#include "codegen/llvm/emit_matmul.h"

#include <cstddef>
#include <utility>

#include "codegen/llvm/product_code.h"
#include "core/error.h"
#include "core/launch.h"
#include "loop/matmul.h"

namespace reprise::codegen {
namespace {

// The option behind those of the programs.
constexpr std::string_view kProducts = ", products";
constexpr std::string_view kFarProducts = ", products from afar";

enum class Products { by_hand, near, far };

Products take_products(std::string_view& options) {
  for (const auto& [option, products] : {std::pair{kProducts, Products::near}, {kFarProducts, Products::far}})
    if (options.ends_with(option)) {
      options.remove_suffix(option.size());
      return products;
    }
  return Products::by_hand;
}

class MatmulEmitter : public ProductCode {
 public:
  MatmulEmitter(const loop::Matmul& matmul, const EmitOptions& options, Products products,
                llvm::LLVMContext& context)
      : ProductCode(matmul.name, options, context) {
    using loop::MatmulTask;
    llvm::Value* const task = field(offsetof(KernelContext, scalars));
    const auto read = [&](size_t offset) {
      return ir_.CreateAlignedLoad(
          ir_.getInt64Ty(), ir_.CreateConstInBoundsGEP1_64(ir_.getInt8Ty(), task, offset), llvm::Align(8));
    };
    llvm::Value* const part = read(offsetof(MatmulTask, part));
    llvm::Value* const columns = read(offsetof(MatmulTask, columns));
    llvm::Value *const first = function_->getArg(1), *const last = function_->getArg(2);
    if (matmul.before)
      when(ir_.CreateICmpEQ(part, number(MatmulTask::kBefore)), {}, [&] {
        begin(matmul.before->program);
        run_items(first, last);
        return std::vector<llvm::Value*>{};
      });
    if (matmul.after)
      when(ir_.CreateICmpEQ(part, number(MatmulTask::kAfter)), {}, [&] {
        begin(matmul.after->program);
        run_rows(first, last, columns, matmul.segments.size());
        return std::vector<llvm::Value*>{};
      });
    if (products != Products::by_hand)
      when(ir_.CreateICmpEQ(part, number(MatmulTask::kProduct)), {}, [&] {
        write_products(matmul, products == Products::far, task, first, last);
        return std::vector<llvm::Value*>{};
      });
    ir_.CreateRetVoid();
  }
  using ProductCode::finish;
};

}  // namespace

std::unique_ptr<llvm::Module> emit_matmul(std::string_view program, const EmitOptions& options,
                                          llvm::LLVMContext& context) {
  const loop::Matmul matmul = loop::parse_matmul(program);
  EmitOptions of_programs = options;
  const Products products = take_products(of_programs.text);
  if (products != Products::by_hand && !loop::has_products(matmul, options.level))
    throw Error("[emit] options '{}', but there is no code for products of {}", options.text, matmul.name);
  return MatmulEmitter(matmul, of_programs, products, context).finish();
}

}  // namespace reprise::codegen
