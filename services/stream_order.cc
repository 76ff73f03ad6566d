#include "services/stream_order.h"

namespace switchyard {
namespace {

using wire::StreamCall;
using wire::StreamHead;

bool IsStep(const StreamHead& head) {
  return head.call == StreamCall::kStep || head.call == StreamCall::kTrainStep;
}

bool Trains(const StreamHead& head) {
  return head.call != StreamCall::kForward || head.train;
}

}  // namespace

bool MustWait(const StreamHead& earlier, const StreamHead& later) {
  if (!Trains(earlier) || !Trains(later)) return false;
  const bool may_be_one_layer = earlier.layer == later.layer ||
                                earlier.layer.empty() || later.layer.empty();
  if (!may_be_one_layer) return false;
  if (IsStep(earlier) || IsStep(later)) return true;
  if (later.call == StreamCall::kBackward) {
    return earlier.call == StreamCall::kBackward ||
           earlier.microbatch == later.microbatch;
  }
  return earlier.call == StreamCall::kForward && !later.microbatch.has_value();
}

}  // namespace switchyard
