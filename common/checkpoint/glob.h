#ifndef SWITCHYARD_COMMON_CHECKPOINT_GLOB_H_
#define SWITCHYARD_COMMON_CHECKPOINT_GLOB_H_

#include "absl/strings/string_view.h"

namespace switchyard {

// Whether all of `text` fits `pattern`: `*` stands for any characters, none
// included, `?` for one, all others for themselves. Time: the product of both
// lengths at most.
bool MatchesGlob(absl::string_view pattern, absl::string_view text);

}  // namespace switchyard

#endif  // SWITCHYARD_COMMON_CHECKPOINT_GLOB_H_
