// What outlives the endpoint's process: at which port a scanner is, by which name, and whose jobs go
// on.

import FileDescriptors
import Glibc
import ScannerClient
import Synchronization
import Wire

/// A small file, replaced whole with each change. Without one that can be written everything works
/// until the process ends.
final class EndpointBook: Sendable {
    /// A job as its successor needs it.
    struct Job: Codable, Hashable, Sendable {
        var token: String
        var user: UInt32
        var device: String
        var settings: ScanSettings
        var delivered: Int
    }

    private struct Contents: Codable, Sendable {
        var ports: [String: UInt16] = [:]
        /// By which DNS-SD announces them. Files of before have none.
        var names: [String: String]?
        var jobs: [Job] = []
    }

    private let path: String
    private let log: @Sendable (String) -> Void
    private let state: Mutex<(contents: Contents, isBroken: Bool)>
    private static let mostPorts = 256
    private static let mostJobs = 64
    private static let longest = 1 << 20

    init(_ path: String, log: @escaping @Sendable (String) -> Void) {
        self.path = path
        self.log = log
        var contents = Contents()
        do { contents = try Self.read(path) } catch { log("\(path) can't be read and is started over: \(error)") }
        state = Mutex((contents, false))
    }

    private static func read(_ path: String) throws -> Contents {
        guard let file = OwnedDescriptor(opened: open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC)) else {
            if errno == ENOENT { return Contents() }
            throw BookError(errno)
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count <= longest {
            let count = Glibc.read(file.number, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw BookError(errno) }
            if count == 0 { return try JSON.decode(Contents.self, from: bytes) }
            bytes += buffer[..<count]
        }
        throw BookError(EFBIG)
    }

    // MARK: Ports

    func port(of device: String) -> UInt16? { state.withLock { $0.contents.ports[device] } }

    /// Ports that are other scanners'.
    func taken(besides device: String) -> Set<UInt16> {
        state.withLock { Set($0.contents.ports.filter { $0.key != device }.values) }
    }

    func keep(_ port: UInt16, of device: String) {
        change { contents in
            guard contents.ports[device] != port else { return false }
            if contents.ports.count >= Self.mostPorts, let other = contents.ports.keys.first(where: { $0 != device }) {
                contents.ports[other] = nil
                contents.names?[other] = nil
            }
            contents.ports[device] = port
            return true
        }
    }

    // MARK: Names

    /// The name that the device had, where it is one of these; else the first that no other device
    /// has. So twins keep theirs, whichever comes first. Call it once the device's port is kept.
    func name(of device: String, from names: some Sequence<String>) -> String {
        var chosen = ""
        change { contents in
            let known = contents.names ?? [:]
            let others = Set(known.filter { $0.key != device }.values)
            var fallback = ""
            for name in names {
                fallback = name
                if known[device] == name {
                    chosen = name
                    return false
                }
                if chosen.isEmpty, !others.contains(name) { chosen = name }
            }
            // Avahi finds another one.
            if chosen.isEmpty { chosen = fallback }
            contents.names = known.merging([device: chosen]) { $1 }
            return true
        }
        return chosen
    }

    // MARK: Jobs

    var jobs: [Job] { state.withLock { $0.contents.jobs } }

    func remember(_ job: Job) {
        change { contents in
            contents.jobs = (contents.jobs + [job]).suffix(Self.mostJobs)
            return true
        }
    }

    func delivered(_ token: String, _ count: Int) {
        change { contents in
            guard let index = contents.jobs.firstIndex(where: { $0.token == token }) else { return false }
            contents.jobs[index].delivered = count
            return true
        }
    }

    func forget(_ token: String) {
        change { contents in
            let before = contents.jobs.count
            contents.jobs.removeAll { $0.token == token }
            return contents.jobs.count != before
        }
    }

    // MARK: The file

    private func change(_ body: (inout Contents) -> Bool) {
        state.withLock { state in
            guard body(&state.contents) else { return }
            do {
                try Self.write(try JSON.encode(state.contents), to: path)
                state.isBroken = false
            } catch {
                if !state.isBroken { log("\(path) can't be written: \(error). Ports and jobs will be forgotten when this process ends.") }
                state.isBroken = true
            }
        }
    }

    private static func write(_ bytes: [UInt8], to path: String) throws {
        let partial = path + ".new"
        guard let file = OwnedDescriptor(opened: open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0o600)) else {
            throw BookError(errno)
        }
        var done = 0
        var failure: Int32 = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(file.number, $0.baseAddress! + done, $0.count - done) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                failure = errno
                break
            }
            done += count
        }
        if failure == 0, rename(partial, path) != 0 { failure = errno }
        guard failure == 0 else {
            unlink(partial)
            throw BookError(failure)
        }
    }
}

private struct BookError: Error, CustomStringConvertible {
    let description: String
    init(_ number: Int32) { description = String(cString: strerror(number)) }
}
