// Fuzzes the client library: what a daemon, or whoever sits in its place, answers.

import CLinux
import Dispatch
import FrameRing
import Glibc
import Synchronization
import UserDriverClient
import Wire

/// Replies to a client's call. The first byte says which call it is, the second whether a ring comes along; the rest is what the daemon says.
enum ClientFuzz: FuzzTarget {
    static let name = "client"
    static let seeds: [[UInt8]] = [
        [0, 0]
            + reply(
                """
                {"devices":[{"id":"a","bus":"1-1","vendorId":"1234","productId":"5678","name":"n","kind":"webcam","driver":"d",\
                "state":"running","pid":1,"restarts":2,"streams":[{"format":"mjpeg","width":640,"height":480,"fps":30.5,\
                "frames":18446744073709551615,"lost":9,"clients":1}],"warnings":[]}]}
                """),
        [1, 0]
            + reply(
                """
                {"controls":[{"name":"gain","description":"Gain","type":"integer","minimum":-9223372036854775808,\
                "maximum":9223372036854775807,"step":0,"default":1,"value":1,"readable":true,"writable":true,"automatic":false,\
                "unit":"","selector":1}]}
                """),
        [2, 0]
            + reply(
                """
                {"crashes":[{"number":1,"time":"t","deviceID":"a","driver":"d","pid":1,"generation":1,"cause":"SIGSEGV","signal":11,\
                "exitStatus":0,"lastWords":["x"],"backtrace":["main"],"decision":"restarted"}]}
                """),
        [3, 0] + reply(#"{"formats":[{"format":"mjpeg","width":640,"height":480,"fps":[30]}]}"#),
        [4, 1]
            + message(
                """
                {"parameters":{"event":"opened","device":"a","generation":1,"restarts":0,"ring":{"capacity":64,"slotCount":4},\
                "description":{"format":"mjpeg","width":640,"height":480,"fps":30}},"continues":true}
                """)
            + message(#"{"parameters":{"event":"restarted","generation":2,"restarts":1,"message":"m"},"continues":true}"#)
            + message(#"{"parameters":{"event":"ended","message":"over"}}"#),
        [5, 0]
            + reply(
                """
                {"daemon":{"version":"1","pid":1,"user":0,"groups":[],"usesUSB":true,"detachesKernelDrivers":false},"drivers":[],\
                "attachments":[],"devices":[]}
                """),
        [6, 0] + reply(#"{"id":"a","bus":"1-1","speed":3,"descriptors":"EgEAAg=="}"#),
        [7, 0] + message(#"{"error":"io.userdriver.NoSuchDevice","parameters":{"message":"none"}}"#),
    ]

    private static func message(_ json: String) -> [UInt8] { Array(json.utf8) + [0] }
    private static func reply(_ parameters: String) -> [UInt8] { message("{\"parameters\":\(parameters)}") }

    private static let server = FakeServer()

    static func run(_ bytes: [UInt8]) {
        guard bytes.count >= 2 else { return }
        server.says(Array(bytes.dropFirst(2)), withRing: bytes[1] & 1 != 0)
        var client = UserDriverClient(runtimeDirectory: RuntimeDirectory(server.folder))
        client.callTimeout = .seconds(5)
        if bytes[0] % 8 == 4 { return watch(client) }
        let (method, done) = (bytes[0] % 8, DispatchSemaphore(value: 0))
        Task { [client] in
            await call(method, client)
            done.signal()
        }
        done.wait()
    }

    private static func call(_ method: UInt8, _ client: UserDriverClient) async {
        do throws(ClientError) {
            switch method {
            case 0: _ = try await client.devices()
            case 1: _ = try await client.camera().controls()
            case 2: _ = try await client.crashes()
            case 3: _ = try await client.camera().formats()
            case 5: _ = try await client.diagnose()
            case 6: _ = try await client.inspect()
            default: _ = try await client.drivers()
            }
        } catch {
            precondition(!error.message.isEmpty, "what goes wrong is said")
        }
    }

    private static func watch(_ client: UserDriverClient) {
        let options = FrameStream.Options(openTimeout: .milliseconds(20), giveUpAfter: .zero)
        do throws(ClientError) {
            let stream = try client.camera().openStream(options: options)
            defer { stream.stop() }
            for _ in 0..<64 {
                switch try stream.next(timeout: .milliseconds(2)) {
                case .event(.frame(let frame)):
                    precondition(frame.byteCount <= 64, "a frame is within its slot")
                    _ = frame.copy()
                    _ = frame.stream?.description
                case .event(.changed(let description)): _ = description?.description
                case .event: break
                case .timedOut, .ended: return
                }
            }
        } catch {
            precondition(!error.message.isEmpty, "what goes wrong is said")
        }
    }
}

/// A socket that says the same to everybody who connects, once they have asked something.
private final class FakeServer: Sendable {
    let folder: String
    private let answer = Mutex<(bytes: [UInt8], withRing: Bool)>(([], false))
    private let ring: Int32

    init() {
        var template = Array("/tmp/userdriver-fuzz-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil, "no folder to run in")
        folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard let geometry = FrameRingGeometry(capacity: 64, slotCount: 4) else { preconditionFailure("a geometry") }
        ring = clinux_memfd("ring", 0)
        precondition(ring >= 0 && ftruncate(ring, off_t(geometry.byteCount)) == 0 && clinux_seal_size(ring) == 0, "memory for a ring")
        let path = folder + "/" + RuntimeDirectory.socketName
        let listener = clinux_unix_stream(path, 1)
        precondition(listener >= 0, "a socket to fuzz with")
        Files.removeAtExit([path, folder])
        DispatchQueue(label: "fake-daemon").async { [self] in
            while true { serve(accept(listener, nil, nil)) }
        }
    }

    func says(_ bytes: [UInt8], withRing: Bool) { answer.withLock { $0 = (bytes, withRing) } }

    private func serve(_ socket: Int32) {
        guard socket >= 0 else { return }
        defer { close(socket) }
        var request = [UInt8](repeating: 0, count: 4096)
        guard recv(socket, &request, request.count, 0) > 0 else { return }
        let (bytes, withRing) = answer.withLock { $0 }
        _ = withUnsafePointer(to: ring) { ring in
            bytes.withUnsafeBytes {
                clinux_send(socket, $0.baseAddress, UInt($0.count), ring, withRing ? 1 : 0, Int32(MSG_DONTWAIT))
            }
        }
    }
}
