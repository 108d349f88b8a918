// HTTP by libmicrohttpd: requests in, answers out.

import CLinux
import CMicroHTTPD
import FileDescriptors
import Glibc
import Synchronization

/// One thread of the library serves all sockets; anything that may take time is done elsewhere, with the connection suspended meanwhile.
public final class HTTPServer: Sendable {
    /// What clients may take together.
    public struct Limits: Sendable {
        public var connections: UInt32 = 256
        public var connectionsOfOneAddress: UInt32 = 192
        /// Seconds without a byte.
        public var silence: UInt32 = 60
        /// Bytes for a connection's head and what is being sent.
        public var memory: UInt32 = 48 << 10
        public init() {}
    }

    fileprivate let site: any HTTPSite
    private let limits: Limits

    public init(site: any HTTPSite, limits: Limits = Limits()) {
        self.site = site
        self.limits = limits
    }

    /// Listens for as long as the process lives. Returns the port. Throws `HTTPError`.
    public func listen(address: String, port: UInt16) throws -> UInt16 {
        let context = Unmanaged.passRetained(self).toOpaque()
        let limits = [limits.connections, limits.connectionsOfOneAddress, limits.silence, limits.memory]
        let daemon = try SocketAddress.with(address, port) { socket in
            cmicrohttpd_start(socket, limits, handleRequest, requestCompleted, context)
        }
        guard let daemon else {
            let number = errno
            Unmanaged<HTTPServer>.fromOpaque(context).release()
            throw HTTPError("Can't listen on \(address):\(port): \(String(cString: strerror(number))).")
        }
        return cmicrohttpd_port(daemon)
    }

    /// Also listens at a file's path, for as long as the process lives: everybody may connect, and the site decides who is answered. A
    /// socket left there by an earlier process is removed. Throws `HTTPError`.
    public func listen(path: String) throws {
        unlink(path)
        let bound = clinux_unix_stream(path, 1)
        guard let listener = OwnedDescriptor(opened: bound) else {
            throw HTTPError("Can't listen at \(path): \(String(cString: strerror(-bound))).")
        }
        chmod(path, 0o666)
        let context = Unmanaged.passRetained(self).toOpaque()
        let limits = [limits.connections, limits.connectionsOfOneAddress, limits.silence, limits.memory]
        guard cmicrohttpd_start_on(listener.number, limits, handleRequest, requestCompleted, context) != nil else {
            Unmanaged<HTTPServer>.fromOpaque(context).release()
            throw HTTPError("Can't listen at \(path).")
        }
        _ = listener.handOver()  // The library closes it.
    }

    /// What came is read while the library still has it, the answer is made elsewhere.
    fileprivate func begin(_ exchange: Exchange, _ connection: OpaquePointer, _ answer: @escaping @Sendable () async -> HTTPAnswer) {
        aside(exchange, connection) {
            let answer = await answer()
            exchange.answer.withLock { $0 = answer }
        }
    }

    /// Reads nothing more from the connection until the work is done. The library looks at no connection that is set aside, and has no clock for
    /// it: work that takes longer than a moment is cancelled here when its client has gone.
    fileprivate func aside(_ exchange: Exchange, _ connection: OpaquePointer, _ work: @escaping @Sendable () async -> Void) {
        exchange.isAside.withLock { $0 = true }
        MHD_suspend_connection(connection)
        let resume = Resumption(connection)
        let socket = cmicrohttpd_socket(connection)
        let job = Task { await work() }
        let watch = Task {
            // The library tells nothing of it, and the kernel only when it is asked: once a second.
            repeat {
                do { try await Task.sleep(for: .seconds(1)) } catch { return }
            } while !HTTPClient(socket: socket).hasGone
            job.cancel()
        }
        Task {
            await job.value
            watch.cancel()
            // The socket's number is another's once the connection goes on.
            await watch.value
            // Together: a call in between would set the connection aside before it goes on, and it would go on all the same.
            exchange.isAside.withLock { isAside in
                isAside = false
                resume()
            }
        }
    }
}

/// Sets a connection going again, once. The library allows that from any thread, and keeps the connection until then.
private struct Resumption: @unchecked Sendable {
    private let connection: OpaquePointer
    init(_ connection: OpaquePointer) { self.connection = connection }
    func callAsFunction() { MHD_resume_connection(connection) }
    /// From when it goes on its client may be silent for so long.
    func allow(silence seconds: UInt32) { cmicrohttpd_set_silence(connection, seconds) }
}

/// One request and its answer.
private final class Exchange: Sendable {
    enum Phase { case new, asked, answered }
    let phase = Mutex(Phase.new)
    let answer = Mutex<HTTPAnswer?>(nil)
    let body = Mutex<(bytes: [UInt8], isTooLong: Bool)>(([], false))
    /// Who takes the body as it comes; known once its head has been looked at.
    let upload = Mutex<(any HTTPUpload)?>(nil)
    /// Somebody is at work on it, or on bytes of it.
    let isAside = Mutex(false)
    /// They were taken gladly.
    let isWelcome = Atomic(false)
    /// Bytes that came though nobody wants them.
    let unwanted = Atomic(0)
}

/// So much of a body that nobody wants is read past, for a client that looks for its answer only then.
private let mostUnwanted = 4 << 20

/// A client that sends a document may think about its next bytes for so long, seconds.
private let uploadSilence: UInt32 = 300

/// A reader of a body, with the connection that waits for it.
private final class Reader: @unchecked Sendable {
    let stream: any HTTPStream
    // The library's, and valid as long as it reads.
    let connection: OpaquePointer
    init(_ stream: any HTTPStream, _ connection: OpaquePointer) { (self.stream, self.connection) = (stream, connection) }
}

private func handleRequest(
    context: UnsafeMutableRawPointer?, connection: OpaquePointer?, url: UnsafePointer<CChar>?, method: UnsafePointer<CChar>?,
    version: UnsafePointer<CChar>?, body: UnsafePointer<CChar>?, bodySize: UnsafeMutablePointer<Int>?,
    kept: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
    guard let context, let connection, let url, let method, let bodySize, let kept else { return cmicrohttpd_no }
    let server = Unmanaged<HTTPServer>.fromOpaque(context).takeUnretainedValue()
    guard let known = kept.pointee else {
        let exchange = Exchange()
        kept.pointee = Unmanaged.passRetained(exchange).toOpaque()
        if let upload = server.site.upload(request(connection, String(cString: method), String(cString: url), server.site.interests)) {
            exchange.upload.withLock { $0 = upload }
        }
        return cmicrohttpd_yes
    }
    let exchange = Unmanaged<Exchange>.fromOpaque(known).takeUnretainedValue()
    let upload = exchange.upload.withLock { $0 }
    // The library goes on to the next chunk that it has already, connection set aside or not: that stays with it.
    if exchange.isAside.withLock({ $0 }) { return cmicrohttpd_yes }
    if exchange.unwanted.load(ordering: .relaxed) > mostUnwanted { return cmicrohttpd_no }
    if bodySize.pointee > 0 {
        if let upload {
            let bytes = Array(UnsafeRawBufferPointer(start: body, count: bodySize.pointee))
            bodySize.pointee = 0
            let resumption = Resumption(connection)
            server.aside(exchange, connection) {
                if await !upload.take(bytes) {
                    exchange.unwanted.add(bytes.count, ordering: .relaxed)
                } else if !exchange.isWelcome.exchange(true, ordering: .relaxed) {
                    resumption.allow(silence: uploadSilence)
                }
            }
            return cmicrohttpd_yes
        }
        keep(UnsafeRawBufferPointer(start: body, count: bodySize.pointee), exchange, limit: server.site.interests.body)
        bodySize.pointee = 0
        return cmicrohttpd_yes
    }
    let phase = exchange.phase.withLock { phase in
        defer { phase = phase == .new ? .asked : .answered }
        return phase
    }
    switch phase {
    case .new:
        let (body, isTooLong) = exchange.body.withLock { body in
            defer { body.bytes = [] }
            return body
        }
        if isTooLong {
            exchange.phase.withLock { $0 = .answered }
            return send(.text(413, "The request's body is too long."), server.site.headers, connection)
        }
        if let upload {
            server.begin(exchange, connection) { await upload.answer() }
            return cmicrohttpd_yes
        }
        var request = request(connection, String(cString: method), String(cString: url), server.site.interests)
        request.body = body
        server.begin(exchange, connection) { [site = server.site, request] in await site.answer(request) }
        return cmicrohttpd_yes
    case .asked:
        guard let answer = exchange.answer.withLock({ $0 }) else { return cmicrohttpd_no }
        return send(answer, server.site.headers, connection)
    case .answered: return cmicrohttpd_no
    }
}

/// Bodies that nobody takes, and what is too long, are read past.
private func keep(_ bytes: UnsafeRawBufferPointer, _ exchange: Exchange, limit: Int) {
    guard limit > 0 else { return }
    exchange.body.withLock { body in
        if body.isTooLong || body.bytes.count + bytes.count > limit {
            body = ([], true)
        } else {
            body.bytes += bytes
        }
    }
}

private func request(_ connection: OpaquePointer, _ method: String, _ path: String, _ interests: HTTPInterests) -> HTTPRequest {
    func text(_ value: UnsafePointer<CChar>?) -> String? { value.map { String(cString: $0) } }
    var request = HTTPRequest(method: method == "HEAD" ? "GET" : method, path: path)
    request.isHead = method == "HEAD"
    for name in interests.headers { request.headers[name] = text(cmicrohttpd_header(connection, name)) }
    for name in interests.query { request.query[name] = text(cmicrohttpd_argument(connection, name)) }
    for name in interests.cookies { request.cookies[name] = text(cmicrohttpd_cookie(connection, name)) }
    if interests.user {
        var user: UInt32 = 0
        let socket = cmicrohttpd_socket(connection)
        if socket >= 0, clinux_peer_user(socket, &user) == 0 { request.user = user }
    }
    return request
}

private func send(_ answer: HTTPAnswer, _ headers: [(name: String, value: String)], _ connection: OpaquePointer) -> MHD_Result {
    let response: OpaquePointer?
    switch answer.body {
    case .bytes(let bytes):
        response = bytes.withUnsafeBytes {
            cmicrohttpd_response($0.baseAddress, $0.count)
        }
    case .stream(let stream, let length):
        let reader = Unmanaged.passRetained(Reader(stream, connection)).toOpaque()
        response = MHD_create_response_from_callback(
            length.map { UInt64($0) } ?? cmicrohttpd_unknown_size, 32 << 10, readStream, reader, releaseReader)
        if response == nil { Unmanaged<Reader>.fromOpaque(reader).release() }
    }
    guard let response else { return cmicrohttpd_no }
    defer { MHD_destroy_response(response) }
    for (name, value) in answer.headers + headers { MHD_add_response_header(response, name, value) }
    return MHD_queue_response(connection, answer.status, response)
}

private func readStream(
    context: UnsafeMutableRawPointer?, position: UInt64, buffer: UnsafeMutablePointer<CChar>?, capacity: Int
) -> Int {
    guard let context, let buffer else { return cmicrohttpd_end_of_stream }
    let reader = Unmanaged<Reader>.fromOpaque(context).takeUnretainedValue()
    let resume = Resumption(reader.connection)
    let piece = reader.stream.read(
        into: UnsafeMutableRawBufferPointer(start: buffer, count: capacity),
        for: HTTPClient(socket: cmicrohttpd_socket(reader.connection)), prepare: { MHD_suspend_connection(reader.connection) },
        wake: { resume() })
    switch piece {
    case .bytes(let count): return count
    case .later: return 0
    case .end: return cmicrohttpd_end_of_stream
    case .failed: return cmicrohttpd_end_with_error
    }
}

private func releaseReader(context: UnsafeMutableRawPointer?) {
    if let context { Unmanaged<Reader>.fromOpaque(context).release() }
}

private func requestCompleted(
    context: UnsafeMutableRawPointer?, connection: OpaquePointer?, kept: UnsafeMutablePointer<UnsafeMutableRawPointer?>?,
    code: MHD_RequestTerminationCode
) {
    guard let known = kept?.pointee else { return }
    kept?.pointee = nil
    let exchange = Unmanaged<Exchange>.fromOpaque(known).takeRetainedValue()
    if code != cmicrohttpd_completed { exchange.upload.withLock { $0 }?.abandon() }
    // An answer that was made and never sent has a stream, too.
    if case .stream(let stream, _)? = exchange.answer.withLock({ $0 })?.body { stream.close(isSent: code == cmicrohttpd_completed) }
}

/// An address in the kernel's form.
enum SocketAddress {
    static func with<R>(_ text: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>) -> R) throws -> R {
        var four = sockaddr_in()
        if inet_pton(AF_INET, text, &four.sin_addr) == 1 {
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            return withUnsafePointer(to: &four) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1, body) }
        }
        var six = sockaddr_in6()
        guard inet_pton(AF_INET6, text, &six.sin6_addr) == 1 else {
            throw HTTPError("'\(text)' is not an IP address: use 127.0.0.1, or ::1.")
        }
        six.sin6_family = sa_family_t(AF_INET6)
        six.sin6_port = port.bigEndian
        return withUnsafePointer(to: &six) { $0.withMemoryRebound(to: sockaddr.self, capacity: 1, body) }
    }
}
