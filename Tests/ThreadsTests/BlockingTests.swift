// More calls that block than the machine has processors, and somebody who ends them.

import Glibc
import Testing
import Threads

@Suite struct BlockingTests {
    @Test(.timeLimit(.minutes(5))) func whoBlocksTakesNobodyElsesThread() async {
        let gate = Monitored(0)
        let count = sysconf(Int32(_SC_NPROCESSORS_ONLN)) * 2 + 2
        let results = await withTaskGroup(of: Int.self) { group in
            for number in 0..<count {
                group.addTask {
                    await blocking("blocked") {
                        gate.change { $0 += 1 }
                        // Goes on when all of them are here, and one who needs the pool has come.
                        let _: Void? = gate.wait { $0 > count ? () : nil }
                        return number
                    }
                }
            }
            group.addTask {
                await Task.yield()
                gate.change { $0 += 1 }
                return count
            }
            return await group.reduce(into: Set<Int>()) { $0.insert($1) }
        }
        #expect(results == Set(0...count))
    }
}
