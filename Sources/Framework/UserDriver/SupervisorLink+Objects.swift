// Where messages about objects go: to whoever wants them, which is the module DriverObjects in
// drivers that import it.

import Glibc
import Synchronization
public import Wire

/// Takes the supervisor's messages about objects.
public protocol ObjectReceiver: AnyObject, Sendable {
    /// The descriptors are the receiver's to close. Called from the channel's thread; must not
    /// wait.
    func take(_ order: ObjectOrder, descriptors: [Int32])
}

extension SupervisorLink {
    /// The one receiver of this process: `make` is called the first time.
    public func objectReceiver(_ make: () -> any ObjectReceiver) -> any ObjectReceiver {
        objects.withLock { objects in
            if let known = objects { return known }
            let made = make()
            objects = made
            return made
        }
    }

    /// Says something about objects.
    public func send(_ word: ObjectWord) { send(MessageFromDriver.object(word)) }

    func take(_ order: ObjectOrder, descriptors: [Int32]) {
        guard let receiver = objects.withLock({ $0 }) else {
            for descriptor in descriptors { close(descriptor) }
            return
        }
        receiver.take(order, descriptors: descriptors)
    }
}
