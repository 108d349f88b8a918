// A client of `userdriver-escl` that may be killed at any moment, as a scanning program may: what it
// has read is in its files before the endpoint can see that it was read.

import ArgumentParser
import CLinux
import FoundationEssentials
import Glibc

/// `campaign escl-client`
struct ESCLClientCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "escl-client", abstract: "Scans one job by eSCL; started by `campaign scanner`.", shouldDisplay: false)

    @Argument var folder: String
    @Option var port: UInt16
    /// What is asked of a job that is new.
    @Option var settings: String
    @Option var patience = 60

    private struct Refused: Error { var words: String }

    func run() throws {
        do {
            let job = try job()
            while try fetch(job) {}
            // Whoever was killed here had asked for it already.
            _ = try ask("DELETE \(job)", keeping: nil)
        } catch let error as Refused {
            complain(error.words)
            throw ExitCode(1)
        }
    }

    // MARK: Steps

    /// The job's address: of an earlier process; as the scanner lists it, where that process was not told
    /// any more; else a new one.
    private func job() throws -> String {
        let path = folder + "/job"
        if let known = FileManager.default.contents(atPath: path) { return String(decoding: known, as: UTF8.self) }
        let isFirst = !FileManager.default.fileExists(atPath: folder + "/begun")
        try "".write(toFile: folder + "/begun", atomically: true, encoding: .utf8)
        var found = isFirst ? nil : try openJob()
        let deadline = ContinuousClock.now + .seconds(patience)
        while found == nil {
            let answer = try ask("POST /eSCL/ScanJobs", settings, keeping: nil, retries: false)
            if answer?.status == 201, let location = answer?.fields["location"], let start = location.firstRange(of: "/eSCL/") {
                found = String(location[start.lowerBound...])
            } else {
                // Nobody has said that nothing was begun.
                if let answer, answer.status != 503 { throw Refused(words: "ScanJobs: \(answer.status)") }
                guard ContinuousClock.now < deadline else { throw Refused(words: "ScanJobs: nothing for \(patience) s") }
                // eSCL has nothing that tells when a scanner is free: a client asks again.
                usleep(50_000)
                if answer == nil { found = try openJob() }
            }
        }
        guard let found else { throw Refused(words: "no job") }
        try found.write(toFile: path, atomically: true, encoding: .utf8)
        return found
    }

    /// That goes on, as ScannerStatus lists it.
    private func openJob() throws -> String? {
        guard let answer = try ask("GET /eSCL/ScannerStatus", keeping: nil), answer.status == 200 else { return nil }
        for part in String(decoding: answer.body, as: UTF8.self).split(separator: "<scan:JobInfo>").dropFirst() {
            guard part.contains("<pwg:JobState>Processing<"), let start = part.firstRange(of: "<pwg:JobUri>") else { continue }
            return String(part[start.upperBound...].prefix { $0 != "<" })
        }
        return nil
    }

    /// False at the end.
    private func fetch(_ job: String) throws -> Bool {
        let number = try FileManager.default.contentsOfDirectory(atPath: folder).count { $0.hasPrefix("answer-") } + 1
        guard let answer = try ask("GET \(job)/NextDocument", keeping: "\(folder)/answer-\(number)") else { return true }
        switch answer.status {
        case 200: return true
        case 503:
            // "Not yet": the same.
            usleep(20_000)
            return true
        case 404: return false
        default: throw Refused(words: "NextDocument: \(answer.status) \(String(decoding: answer.body, as: UTF8.self))")
        }
    }

    // MARK: HTTP

    /// One request, and its answer; into a file, as it comes, where that is named. `nil` if the
    /// connection broke.
    private func ask(_ line: String, _ body: String = "", keeping path: String?, retries: Bool = true) throws -> RawAnswer? {
        let deadline = ContinuousClock.now + .seconds(patience)
        while true {
            let socket = clinux_tcp_connect("127.0.0.1", port, 1000)
            if socket >= 0 {
                defer { close(socket) }
                clinux_set_nonblocking(socket, 0)
                let answer = exchange(socket, line, body, path)
                if answer.isComplete || path != nil || !retries { return answer.isComplete ? answer : nil }
            }
            guard ContinuousClock.now < deadline else { throw Refused(words: "\(line): nobody answers for \(patience) s") }
            // The endpoint was killed, and its port says nothing of when the next one listens.
            usleep(5000)
        }
    }

    private func exchange(_ socket: Int32, _ line: String, _ body: String, _ path: String?) -> RawAnswer {
        var limit = timeval(tv_sec: patience, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let head = "\(line) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
        let request = Array((head + body).utf8)
        guard send(socket, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else { return RawAnswer([]) }
        let file = path.map { open($0, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600) } ?? -1
        defer { if file >= 0 { close(file) } }
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            // Looked at, written down, and only then read.
            let count = recv(socket, &buffer, buffer.count, Int32(MSG_PEEK))
            guard count > 0 else { return RawAnswer(all) }
            if file >= 0, write(file, buffer, count) != count {
                complain("\(path ?? ""): \(String(cString: strerror(errno)))")
                _exit(1)
            }
            guard recv(socket, &buffer, count, 0) == count else { return RawAnswer(all) }
            all += buffer[..<count]
        }
    }
}
