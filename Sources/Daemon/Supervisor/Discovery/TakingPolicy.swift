// Which devices are taken from the kernel's own drivers: none, unless the administrator or a person says so.

import Bundles
import Glibc
import Logging
import Synchronization
import USB
import Wire

/// The administrator's file, what `userdriver setup` wrote beside it, what people chose with `userdriver take` and `release`, and the option that
/// takes everything.
///
/// People's choices are kept in a file of the daemon's own: it runs without rights, and /etc is the administrator's. A choice names one device
/// and outweighs the administrator's rules, except one that leaves the device alone by its id. The administrator's file is read anew whenever
/// it is asked for, so that an edit holds from the next time that a device is opened.
final class TakingPolicy: Sendable {
    /// Choices are bounded as the devices that are remembered.
    static let maximumChoices = 256

    private let takesEverything: Bool
    private let administrators: String?
    private let ownPath: String
    private let logger: Logger
    private let own: Mutex<[String: Bool]>
    private let lastProblem = Mutex("")
    private let lastSetupProblem = Mutex("")

    /// - Parameter administrators: the path of a file that need not exist.
    init(takesEverything: Bool, administrators: String?, stateDirectory: String, logger: Logger) {
        self.takesEverything = takesEverything
        self.administrators = administrators
        ownPath = stateDirectory + "/taken.yaml"
        self.logger = logger
        var choices: [String: Bool] = [:]
        do {
            if let file = try Self.read(ownPath) {
                for rule in file.take { if let id = rule.id { choices[id] = true } }
                for rule in file.leave { if let id = rule.id { choices[id] = false } }
            }
        } catch {
            logger.warning("the list of chosen devices can't be read, so no device is taken because of it", metadata: ["error": "\(error)"])
        }
        own = Mutex(choices)
    }

    /// Whether a process of each driver waits to replace one that dies.
    var keepsStandby: Bool { administratorsRules().keepsStandby }
    /// Whether cameras of which nobody has said anything have a `/dev/videoN`.
    var showsCameras: Bool { administratorsRules().showsCameras }

    /// - Parameter device: the id of the device that has the function `id`. What is said of it
    ///   holds for a function that nothing is said of.
    func takes(_ id: String, device: String? = nil, _ subject: MatchSubject) -> Bool {
        takes(id, device: device, subject, choices: own.withLock { $0 }, setup: setup)
    }

    /// The same, were nothing chosen for single devices and `choice` set up.
    func wouldTake(_ id: String, device: String? = nil, _ subject: MatchSubject, under choice: SetupChoice) -> Bool {
        takes(id, device: device, subject, choices: [:], setup: choice)
    }

    private func takes(
        _ id: String, device: String?, _ subject: MatchSubject, choices: [String: Bool], setup: SetupChoice
    ) -> Bool {
        let rules = administratorsRules()
        func names(_ list: [PolicyFile.Rule], _ id: String) -> Bool { list.contains { $0.id == id } }
        let device = device ?? id
        if names(rules.leave, id) { return false }
        // Who names the function means it, whatever the device is.
        let isNamed = device != id && names(rules.take, id)
        if !isNamed, names(rules.leave, device) { return false }
        if let choice = choices[id] ?? (isNamed ? nil : choices[device]) { return choice }
        if setup == .none { return false }
        if isNamed { return true }
        return rules.takes(device, subject) ?? (setup == .all || takesEverything)
    }

    /// What `userdriver setup` has written. A file that makes no sense takes nothing.
    private var setup: SetupChoice {
        guard let administrators else { return .rules }
        do throws(BundleError) {
            let choice = try SetupFile.read(SetupFile.path(beside: administrators))
            lastSetupProblem.withLock { $0 = "" }
            return choice
        } catch {
            note(error, in: lastSetupProblem, "the setup file can't be used, so no device is taken because of it")
            return .none
        }
    }

    /// Throws `CallError` if something else was set up than the caller believes.
    func checkSetup(is choice: SetupChoice) throws(CallError) {
        guard let administrators else {
            throw CallError("NotSupported", "This daemon has no administrator's file, since it is not the system's. See --policy.")
        }
        let path = SetupFile.path(beside: administrators)
        let found: SetupChoice
        do throws(BundleError) { found = try SetupFile.read(path) } catch { throw CallError("DeviceError", "\(error)") }
        guard found == choice else { throw CallError("InvalidParameter", "\(path) says \(found), not \(choice).") }
    }

    /// Nothing is chosen for single devices any more.
    /// - Returns: why that does not outlast the daemon, where it could not be written down.
    func forgetChoices() -> String? {
        own.withLock { $0 = [:] }
        return write([:])
    }

    /// Notes what a person chose: it holds from now on. Throws `CallError` if the administrator's file forbids it or the list is full.
    ///
    /// - Returns: why the choice does not outlast the daemon, where it could not be written down. It holds until then all the same.
    @discardableResult
    func choose(_ id: String, device: String? = nil, takes: Bool) throws(CallError) -> String? {
        if takes, let administrators, leavesByID(id, device: device ?? id) {
            throw CallError("NotPermitted", "\(administrators) leaves \(id) to the kernel's driver by its id.")
        }
        let choices = try own.withLock { own throws(CallError) in
            guard own[id] != nil || own.count < Self.maximumChoices else {
                throw CallError("LimitReached", "\(Self.maximumChoices) devices have been chosen already; \(ownPath) has the list.")
            }
            own[id] = takes
            return own
        }
        return write(choices)
    }

    private func write(_ choices: [String: Bool]) -> String? {
        do throws(SystemFailure) {
            try StateFile.write(Array(Self.text(of: choices).utf8), to: ownPath)
            return nil
        } catch {
            return "This holds only until the daemon ends, because it could not be written down: \(error). Try again once that is possible."
        }
    }

    private func leavesByID(_ id: String, device: String) -> Bool {
        let rules = administratorsRules()
        return rules.leave.contains { $0.id == id } || !rules.take.contains { $0.id == id } && rules.leave.contains { $0.id == device }
    }

    private static func text(of choices: [String: Bool]) -> String {
        func list(_ taken: Bool) -> String {
            let ids = choices.filter { $0.value == taken }.keys.sorted()
            return ids.isEmpty ? " []\n" : "\n" + ids.map { "  - id: \(quoted($0))\n" }.joined()
        }
        return """
            # Written by userdriverd: the choices made with `userdriver take` and `userdriver release`.
            take:\(list(true))leave:\(list(false))
            """
    }

    /// An id holds no control characters; quotes and backslashes are YAML's to escape.
    private static func quoted(_ id: String) -> String {
        "\"" + id.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }

    private func administratorsRules() -> PolicyFile {
        guard let administrators else { return PolicyFile() }
        do {
            let rules = try Self.read(administrators)
            lastProblem.withLock { $0 = "" }
            return rules ?? PolicyFile()
        } catch {
            note(error, in: lastProblem, "the policy can't be used, so no device is taken because of it")
            return PolicyFile()
        }
    }

    /// Said once for each mistake: the files are read often.
    private func note(_ error: any Error, in last: borrowing Mutex<String>, _ words: String) {
        let isNews = last.withLock { problem in
            defer { problem = "\(error)" }
            return problem != "\(error)"
        }
        if isNews { logger.error("\(words)", metadata: ["error": "\(error)"]) }
    }

    /// `nil` if there is no file.
    private static func read(_ path: String) throws -> PolicyFile? {
        guard access(path, F_OK) == 0 || errno != ENOENT else { return nil }
        return try ManifestParser.parsePolicy(try StateFile.read(path, maximumBytes: PolicyFile.maximumBytes + 1), path: path)
    }
}
