// A TCP server on this machine that says to each client what a test wants.

import Glibc
import Synchronization

/// Serves one client after the other on a thread of its own.
final class LocalServer: Sendable {
    let port: UInt16
    private let listener: Int32
    private let isStopped = Atomic(false)
    private let clients: AsyncStream<Void>
    private let done: AsyncStream<Void>.Continuation

    /// `serve` is given each client's socket, which is closed when it returns.
    init(_ serve: @escaping @Sendable (Int32) -> Void) throws {
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = listener
        let result = withUnsafeMutableBytes(of: &address) { bytes -> Int32 in
            bytes.withMemoryRebound(to: sockaddr.self) { pointer in
                guard bind(listener, pointer.baseAddress!, length) == 0, listen(listener, 8) == 0 else { return -1 }
                return getsockname(listener, pointer.baseAddress!, &length)
            }
        }
        guard result == 0 else { throw Timeout(what: "a port", seen: "errno \(errno)") }
        port = UInt16(bigEndian: address.sin_port)
        (clients, done) = AsyncStream.makeStream(of: Void.self)
        Task.detached { [self] in
            try await offPool { [self] in
                while true {
                    let client = accept(listener, nil, nil)
                    guard client >= 0 else { break }
                    serve(client)
                    close(client)
                    done.yield()
                }
                close(listener)
            }
        }
    }

    /// Returns when `count` more clients have been served.
    func served(_ count: Int) async throws {
        var left = count
        for await _ in clients {
            left -= 1
            if left == 0 { return }
        }
    }

    /// From here on nobody is let in.
    func stop() {
        guard !isStopped.exchange(true, ordering: .relaxed) else { return }
        shutdown(listener, Int32(SHUT_RDWR))
        done.finish()
    }
}
