// Where messages about objects go: to whoever wants them, which is the module DriverObjects in
// drivers that import it.

public import FileDescriptors
import Glibc
import Synchronization
public import Wire

/// Takes the supervisor's messages about objects.
public protocol ObjectReceiver: AnyObject, Sendable {
    /// Called from the channel's thread; must not wait.
    func take(_ order: ObjectOrder, descriptors: consuming OwnedDescriptors)
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

    func take(_ order: ObjectOrder, descriptors: consuming OwnedDescriptors) {
        if let receiver = objects.withLock({ $0 }) { receiver.take(order, descriptors: descriptors) }
    }
}
