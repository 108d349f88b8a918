// systemd's descriptor store, in this process.

import CLinux
import Glibc
import Synchronization

@testable import Supervisor

/// Keeps duplicates in the order in which they came, up to a number.
final class FakeStore: DescriptorStore {
    private let kept = Mutex<[StoredDescriptor]>([])
    private let limit: Int

    init(limit: Int = 1000) { self.limit = limit }

    deinit { for one in kept.withLock({ $0 }) { close(one.descriptor) } }

    func keep(_ descriptor: Int32, as name: String) -> String? {
        kept.withLock { kept in
            guard kept.count < limit else { return "it is full" }
            kept.append(StoredDescriptor(name: name, descriptor: clinux_duplicate(descriptor)))
            return nil
        }
    }

    func remove(_ name: String) -> String? {
        kept.withLock { kept in
            for one in kept where one.name == name { close(one.descriptor) }
            kept.removeAll { $0.name == name }
            return nil
        }
    }

    var names: [String] { kept.withLock { $0.map(\.name).sorted() } }

    /// What a process that is started now inherits.
    func handOver() -> [StoredDescriptor] {
        kept.withLock { $0.map { StoredDescriptor(name: $0.name, descriptor: clinux_duplicate($0.descriptor)) } }
    }
}
