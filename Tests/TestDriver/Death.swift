// The ways to die that a program has, beside the signals that others send it.

import CLinux
import Glibc
import Wire

enum Death {
    private struct Uncaught: Error {}

    /// What a compiler can't see through.
    @inline(never) private static func opaque<T>(_ value: T) -> T { value }

    static func die(_ way: String, _ channel: Channel) {
        switch way {
        case "exit": exit(0)
        case "error": try! fail()  // An uncaught Swift error is what this is about.
        case "index": _ = [1, 2, 3][opaque(3)]
        case "overflow": _ = opaque(UInt8.max) + opaque(1)
        case "nil": _ = opaque(Int("none"))!
        case "stack": _ = descend(0)
        case "memory": devour()
        case "loop": while opaque(true) {}
        case "deadlock": lockTwice()
        case "closes-channel":
            close(channel.descriptor)
            while true { pause() }
        case "garbage":
            _ = clinux_send(channel.descriptor, "no message", 10, nil, 0, 0)
            while true { pause() }
        default: exit(96)
        }
    }

    @inline(never) private static func fail() throws { throw opaque(Uncaught()) }

    @inline(never) private static func descend(_ depth: Int) -> Int {
        var frame = (depth, depth, depth, depth, depth, depth, depth, depth)
        return withUnsafeMutableBytes(of: &frame) { $0.count &+ descend(depth &+ 1) } &+ frame.3
    }

    /// Until there is no more to be had, which Swift takes for the end.
    private static func devour() {
        var all: [[UInt8]] = []
        while true { all.append([UInt8](repeating: UInt8(truncatingIfNeeded: all.count), count: 64 << 20)) }
    }

    private static func lockTwice() {
        var mutex = pthread_mutex_t()
        pthread_mutex_init(&mutex, nil)
        pthread_mutex_lock(&mutex)
        pthread_mutex_lock(&mutex)
    }
}
