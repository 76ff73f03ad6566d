#include "services/rpc/exception_boundary.h"

#include <exception>
#include <new>

#include "absl/strings/str_cat.h"

namespace switchyard {

absl::Status RunCatching(absl::FunctionRef<absl::Status()> work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("out of memory");
  } catch (const std::exception& exception) {
    return absl::InternalError(absl::StrCat("exception: ", exception.what()));
  }
}

}  // namespace switchyard
