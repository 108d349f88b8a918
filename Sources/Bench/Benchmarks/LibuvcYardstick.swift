// Debian's libuvc over the same payloads, in a library of C by itself that brings its own libusb.
import CBenchmarks
import Glibc
import UVC

/// `libuvc-yardstick.so` beside this program; `make bench` builds it where libuvc's headers are.
struct LibuvcYardstick {
    private typealias Run = @convention(c) (UnsafePointer<cbenchmarks_libuvc_stream>, UInt32) -> Double
    private let run: Run

    /// `nil` where there is none.
    init?() {
        guard let program = CommandLine.arguments.first, let path = realpath(program, nil) else { return nil }
        defer { free(path) }
        guard let library = dlopen(String(cString: dirname(path)) + "/libuvc-yardstick.so", RTLD_NOW | RTLD_LOCAL),
            let function = dlsym(library, "cbenchmarks_libuvc")
        else { return nil }
        run = unsafeBitCast(function, to: Run.self)
    }

    /// Nanoseconds of `turns` through all payloads, until its callback has each frame; `nil` where a frame was another or the library
    /// can't be used.
    func nanoseconds(_ stream: FrameCase, _ played: PlayedStream, turns: Int, checks: Bool = false) -> Double? {
        let (isBulk, room) =
            switch stream.bus {
            case .isochronous(let length, _): (false, length)
            case .bulk(let length): (true, length)
            }
        var shown = cbenchmarks_libuvc_stream(
            payloads: played.plainPayloads.baseAddress, payload_count: UInt32(played.plainPayloads.count), is_bulk: isBulk ? 1 : 0,
            is_mjpeg: stream.content == .mjpeg ? 1 : 0, width: UInt32(stream.width), height: UInt32(stream.height),
            maximum_payload: UInt32(room), capacity: UInt32(stream.capacity), frames: nil, frame_count: 0)
        if checks {
            shown.frames = UnsafePointer(played.plainFrames.baseAddress)
            shown.frame_count = UInt32(played.plainFrames.count)
        }
        let result = run(&shown, UInt32(turns))
        return result < 0 ? nil : result
    }
}
