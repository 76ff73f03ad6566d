#ifndef SWITCHYARD_SERVICES_STREAM_ORDER_H_
#define SWITCHYARD_SERVICES_STREAM_ORDER_H_

#include "services/wire/stream_message.h"

namespace switchyard {

// Whether a request must wait until an earlier one of its stream, not yet
// answered, has ended. A pure function. The rules, for requests of one layer:
//   - Forwards in eval mode wait for nobody, and nobody waits for them.
//   - Step and TrainStep wait for all training requests before them, and all
//     after them wait for them.
//   - Backwards go one after the other, so that gradients are summed in the
//     order in which they were sent.
//   - A Forward in train mode whose microbatch the gateway numbers waits for
//     the train Forwards before it, so that numbers follow the order; with
//     numbers of the client's own they run side by side.
//   - A Backward waits for the Forward of its own microbatch.
// A request that does not say at its front what it is about counts as of every
// layer.
bool MustWait(const wire::StreamHead& earlier, const wire::StreamHead& later);

}  // namespace switchyard

#endif  // SWITCHYARD_SERVICES_STREAM_ORDER_H_
