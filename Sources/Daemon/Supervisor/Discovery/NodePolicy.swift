// How many /dev/videoN a camera is to have: what people chose. The daemon makes none; `userdriver-video` asks.

import Glibc
import Logging
import Synchronization
import Wire

/// Choices by device id, in a file of the daemon's own. Bounded as the devices that are remembered.
final class NodePolicy: Sendable {
    /// What a camera can have.
    static let counts = 0...4
    private static let maximumChoices = 256
    private static let maximumBytes = 64 << 10

    private let path: String
    private let choices: Mutex<[String: Int]>
    private let isOn: @Sendable () -> Bool

    /// - Parameter isOn: the administrator's word for cameras of which nobody has said anything.
    init(stateDirectory: String, logger: Logger, isOn: @escaping @Sendable () -> Bool) {
        path = stateDirectory + "/nodes.json"
        self.isOn = isOn
        var read: [String: Int] = [:]
        do {
            if access(path, F_OK) == 0 || errno != ENOENT {
                read = try JSON.decode([String: Int].self, from: try StateFile.read(path, maximumBytes: Self.maximumBytes))
            }
        } catch {
            logger.warning("the number of nodes for each camera can't be read, so each has one", metadata: ["error": "\(error)"])
        }
        let valid = read.filter { Self.counts.contains($0.value) }
        choices = Mutex(valid.count <= Self.maximumChoices ? valid : [:])
    }

    /// `nil` if nobody has said anything, and the administrator does not mind.
    func nodes(of id: String) -> Int? { choices.withLock { $0[id] } ?? (isOn() ? nil : 0) }

    /// Notes what a person chose.
    ///
    /// - Returns: why the choice does not outlast the daemon, where it could not be written down.
    func choose(_ id: String, nodes: Int) throws(CallError) -> String? {
        let all = try choices.withLock { choices throws(CallError) in
            guard choices[id] != nil || choices.count < Self.maximumChoices else {
                throw CallError("LimitReached", "\(Self.maximumChoices) devices have been chosen already; \(path) has the list.")
            }
            choices[id] = nodes
            return choices
        }
        do {
            try StateFile.write(try JSON.encode(all), to: path)
            return nil
        } catch {
            return "This holds only until the daemon ends, because it could not be written down: \(error). Try again once that is possible."
        }
    }
}
