// Gives the kernel's drivers what supervisors have taken and none goes on with.

import CLinux
import FileDescriptors
import Glibc
import USB

/// What is left to do when no supervisor follows the last one: a supervisor with a descriptor store leaves it to the one after it.
public enum DeviceReturn {
    /// How long a file that somebody else still has open may keep an interface.
    private static let patience = Duration.seconds(5)

    /// Gives back everything that the list in the state folder names. Holds the runtime folder's lock meanwhile: if a supervisor has it,
    /// nothing is done, because the devices belong to it. Blocks.
    /// - Returns: what went wrong, for a person.
    public static func run(runtimeDirectory: String, stateDirectory: String) -> [String] {
        let path = runtimeDirectory + "/" + SupervisorConfiguration.lockName
        let lock = OwnedDescriptor(opened: open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600))
        // Without the folder there is no supervisor either.
        if let number = lock.number, flock(number, LOCK_EX | LOCK_NB) != 0 { return [] }
        var taken = TakenInterfaces(path: TakenInterfaces.path(in: stateDirectory))
        var problems = [taken.read()].compactMap { $0 }
        for one in taken.entries {
            do throws(DeviceOpenFailure) {
                try awaitFreedom(of: one)
                try USBFSSource.connect(one)
            } catch {
                if case .unavailable = error { problems.append("\(one.path) can't be given back to the kernel's driver: \(error)") }
            }
            if let problem = taken.forget(path: one.path) { problems.append(problem) }
        }
        return problems
    }

    /// The service manager closes what was in its store when it gets to it.
    private static func awaitFreedom(of one: TakenInterfaces.Entry) throws(DeviceOpenFailure) {
        let opened = try USBFSSource.open(one.device)
        let end = ContinuousClock.now + patience
        for interface in UInt32(0)..<32 where one.interfaces & (1 << interface) != 0 {
            while isClaimed(interface, opened.descriptor), ContinuousClock.now < end { usleep(10_000) }
        }
    }

    private static func isClaimed(_ interface: UInt32, _ descriptor: Int32) -> Bool {
        var name = [CChar](repeating: 0, count: 256)
        guard clinux_usbfs_driver(descriptor, interface, &name) == 0 else { return false }
        return name.prefix { $0 != 0 }.elementsEqual("usbfs".utf8.map { CChar(bitPattern: $0) })
    }
}
