#ifndef SWITCHYARD_EXPERT_WORKER_COLLECTIVE_COLLECTIVE_CONFORMANCE_H_
#define SWITCHYARD_EXPERT_WORKER_COLLECTIVE_COLLECTIVE_CONFORMANCE_H_

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "expert_worker/collective/collective.h"

namespace switchyard::testing {

// What every implementation of Collective keeps. The parameter makes the
// factory of the members' ends.
class CollectiveConformanceTest
    : public ::testing::TestWithParam<CollectiveFactory (*)()> {
 protected:
  using Members = std::vector<std::unique_ptr<Collective>>;

  // All ends of a group, not connected.
  Members Make(int size);
  // Connects all, each on a thread of its own.
  void Connect(Members& members);
  Members MakeConnected(int size);

 private:
  CollectiveFactory factory_ = GetParam()();
};

}  // namespace switchyard::testing

#endif  // SWITCHYARD_EXPERT_WORKER_COLLECTIVE_COLLECTIVE_CONFORMANCE_H_
