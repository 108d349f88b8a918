// A host of an emulated scanner, without a bus between: pipes, and HTTP on them.

import CLinux
import Synchronization
import Testing
import Threads
import USB
import USBEmulation

@testable import EmulatedScanner

/// What the scanner tells its port.
final class ScannerSignal: EmulationSignal {
    struct State {
        var ready = 0
        var flushed: [EndpointAddress] = []
        var isPlugged = true
    }
    let state = Monitored(State())
    func ready(endpoint: EndpointAddress) { state.change { $0.ready += 1 } }
    func flush(endpoint: EndpointAddress) { state.change { $0.flushed.append(endpoint) } }
    func unplug() { state.change { $0.isPlugged = false } }
    func plug() { state.change { $0.isPlugged = true } }
}

/// What came in place of bytes.
enum PipeFailure: Error, Hashable {
    case stall
    /// Nothing came for as long as a test waits.
    case silence
    case unplugged
    case malformed(String)
}

struct ScannerAnswer {
    var status: Int
    var fields: [String: String]
    var body: [UInt8]
    var text: String { String(decoding: body, as: UTF8.self) }
}

final class ScannerBus {
    let scanner: EmulatedScanner
    let signal = ScannerSignal()
    /// What came and was not used yet, of each pair.
    private var unread: [[UInt8]]
    /// Lengths of the transfers that came in.
    private(set) var transfers: [Int] = []
    var transferLength = 16 << 10
    var patience: UInt64 = 20_000_000_000

    init(_ faults: String = "", _ change: (inout EmulatedScannerOptions) -> Void = { _ in }) throws {
        var options = EmulatedScannerOptions()
        options.faults = try ScannerFaults(parsing: faults)
        change(&options)
        scanner = EmulatedScanner(options: options)
        unread = [[UInt8]](repeating: [], count: options.pairs)
        attach()
    }

    func attach() {
        scanner.attached(now: clinux_monotonic_ns(), signal: signal)
        let setting: UInt8 = scanner.options.layout == .plain ? 0 : 1
        for index in 0..<scanner.options.pairs {
            scanner.alternateSettingChanged(interface: UInt8(index), to: 0, now: 0)
            scanner.alternateSettingChanged(interface: UInt8(index), to: setting, now: 0)
        }
    }

    /// Another host opens the pair: it knows nothing of what came.
    func forget(_ pair: Int = 0) { unread[pair] = [] }

    // MARK: Pipes

    func write(_ bytes: [UInt8], _ pair: Int = 0) {
        let status = bytes.withUnsafeBytes {
            scanner.dataOut(endpoint: ScannerInterface.out(pair), now: clinux_monotonic_ns(), data: $0)
        }
        #expect(status == .completed)
    }

    func write(_ text: String, _ pair: Int = 0) { write(Array(text.utf8), pair) }

    /// One transfer, as a host controller fills it.
    func transfer(_ pair: Int = 0) throws -> [UInt8] {
        var bytes: [UInt8] = []
        let deadline = clinux_monotonic_ns() + patience
        while bytes.count < transferLength {
            let seen = signal.state.withLock { $0.ready }
            var answer = InAnswer.later(at: nil)
            let rest = transferLength - bytes.count
            bytes += [UInt8](unsafeUninitializedCapacity: rest) { buffer, count in
                answer = scanner.dataIn(
                    endpoint: ScannerInterface.in(pair), now: clinux_monotonic_ns(), into: UnsafeMutableRawBufferPointer(buffer))
                if case .data(let written, _) = answer { count = written }
            }
            switch answer {
            case .data(let count, let ends):
                if ends || count % 512 != 0 {
                    transfers.append(bytes.count)
                    return bytes
                }
            case .lent, .stall: throw PipeFailure.stall
            case .later(let time):
                let now = clinux_monotonic_ns()
                guard now < deadline else { throw PipeFailure.silence }
                guard signal.state.withLock({ $0.isPlugged }) else { throw PipeFailure.unplugged }
                let until = min(time.map { max($0, now + 125_000) } ?? deadline, deadline)
                let _: Bool? = signal.state.wait(until: until) { $0.ready != seen || !$0.isPlugged ? true : nil }
            }
        }
        transfers.append(bytes.count)
        return bytes
    }

    private func line(_ pair: Int) throws -> String {
        while true {
            if let end = unread[pair].firstIndex(of: 0x0a) {
                let line = unread[pair][..<end]
                unread[pair].removeFirst(end + 1)
                return String(decoding: line.last == 0x0d ? line.dropLast() : line, as: UTF8.self)
            }
            unread[pair] += try transfer(pair)
        }
    }

    private func bytes(_ count: Int, _ pair: Int) throws -> [UInt8] {
        while unread[pair].count < count { unread[pair] += try transfer(pair) }
        defer { unread[pair].removeFirst(count) }
        return Array(unread[pair][..<count])
    }

    // MARK: HTTP

    /// The next answer. `lastLine`: whether an empty line is expected behind the last chunk.
    func answer(_ pair: Int = 0, isHead: Bool = false, lastLine: Bool = true) throws -> ScannerAnswer {
        let words = try line(pair).split(separator: " ")
        guard words.count >= 2, words[0] == "HTTP/1.1", let status = Int(words[1]) else {
            throw PipeFailure.malformed(words.joined(separator: " "))
        }
        var fields: [String: String] = [:]
        while case let line = try line(pair), !line.isEmpty {
            guard let colon = line.firstIndex(of: ":") else { throw PipeFailure.malformed(line) }
            fields[line[..<colon].lowercased()] = String(line[line.index(after: colon)...].drop { $0 == " " })
        }
        var answer = ScannerAnswer(status: status, fields: fields, body: [])
        if isHead || status == 100 { return answer }
        if fields["transfer-encoding"] == "chunked" {
            while true {
                let line = try line(pair)
                guard let size = Int(line, radix: 16) else { throw PipeFailure.malformed(line) }
                if size == 0 {
                    if lastLine { _ = try self.line(pair) }
                    return answer
                }
                answer.body += try bytes(size, pair)
                guard try self.line(pair).isEmpty else { throw PipeFailure.malformed("no line behind a chunk") }
            }
        }
        if let length = fields["content-length"].flatMap({ Int($0) }) { answer.body = try bytes(length, pair) }
        return answer
    }

    func ask(_ method: String, _ path: String, body: String? = nil, _ pair: Int = 0, lastLine: Bool = true) throws -> ScannerAnswer {
        write(Self.request(method, path, body: body), pair)
        return try answer(pair, isHead: method == "HEAD", lastLine: lastLine)
    }

    static func request(_ method: String, _ path: String, body: String? = nil) -> String {
        "\(method) \(path) HTTP/1.1\r\nHost: localhost\r\n"
            + (body.map { "Content-Type: text/xml\r\nContent-Length: \($0.utf8.count)\r\n\r\n\($0)" } ?? "\r\n")
    }

    // MARK: eSCL

    static func settings(
        source: String = "Feeder", duplex: Bool = false, resolution: Int = 75, mode: String = "RGB24", format: String = "image/jpeg",
        more: String = ""
    ) -> String {
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <scan:ScanSettings xmlns:scan="http://schemas.hp.com/imaging/escl/2011/05/03" xmlns:pwg="http://www.pwg.org/schemas/2010/12/sm">
          <pwg:Version>2.0</pwg:Version>
          <pwg:ScanRegions><pwg:ScanRegion>
            <pwg:ContentRegionUnits>escl:ThreeHundredthsOfInches</pwg:ContentRegionUnits>
            <pwg:XOffset>0</pwg:XOffset><pwg:YOffset>0</pwg:YOffset>
            <pwg:Width>2480</pwg:Width><pwg:Height>3508</pwg:Height>
          </pwg:ScanRegion></pwg:ScanRegions>
          <pwg:InputSource>\(source)</pwg:InputSource>
          <scan:Duplex>\(duplex)</scan:Duplex>
          <scan:ColorMode>\(mode)</scan:ColorMode>
          <scan:XResolution>\(resolution)</scan:XResolution>
          <scan:YResolution>\(resolution)</scan:YResolution>
          <pwg:DocumentFormat>\(format)</pwg:DocumentFormat>\(more)
        </scan:ScanSettings>
        """
    }

    /// Opens a job; the path of its URI.
    func open(_ settings: String = ScannerBus.settings(), _ pair: Int = 0) throws -> String {
        let answer = try ask("POST", "/eSCL/ScanJobs", body: settings, pair)
        guard answer.status == 201 else { throw PipeFailure.malformed("\(answer.status)") }
        let location = try #require(answer.fields["location"])
        // http, host, and the path's parts.
        return "/" + location.split(separator: "/").dropFirst(2).joined(separator: "/")
    }

    func next(_ job: String, _ pair: Int = 0) throws -> ScannerAnswer { try ask("GET", "\(job)/NextDocument", pair) }

    func status(_ pair: Int = 0) throws -> String { try ask("GET", "/eSCL/ScannerStatus", pair).text }

    /// The settings that `settings()` asks for by default.
    static var plain: ScanSettings {
        var settings = ScanSettings()
        settings.resolution = 75
        return settings
    }
}
