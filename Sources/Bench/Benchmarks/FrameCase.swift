// The streams that a frame's cost is measured with: how the bus cuts them, and what they carry.
import DriverStreams
import USB
import UVC

/// A stream as a camera sends it.
struct FrameCase {
    enum Bus {
        /// Bytes of a microframe's packet, and how many packets of all carry data.
        case isochronous(packetLength: Int, dataShare: Double)
        /// `dwMaxPayloadTransferSize`.
        case bulk(payloadLength: Int)
    }

    var name: String
    /// Only libuvc is told.
    var width = 1280
    var height = 720
    var bus: Bus
    /// Bytes of the frames that are sent in turn; an even number of them, so that FID goes on
    /// toggling.
    var frameLengths: [Int]
    var content: PayloadAssembler.Settings.Content

    /// How the driver cuts such a stream into transfers.
    var shape: StreamShape {
        switch bus {
        case .isochronous(let length, _): .isochronous(bytesPerInterval: length, interval: 1, speed: .high)
        case .bulk(let length):
            .bulk(maxPacketSize: 512, payloadSize: length, joinsPayloads: true, bytesPerSecond: capacity * 30)
        }
    }
    var settings: PayloadAssembler.Settings {
        switch bus {
        case .isochronous: PayloadAssembler.Settings(content: content, packetInterval: shape.packetInterval)
        case .bulk(let length): PayloadAssembler.Settings(content: content, maxPayloadSize: length)
        }
    }
    var capacity: Int { max(frameLengths.max() ?? 0, 1) }
    var slotCount: Int { streamSlotCount(capacity) }

    static func mjpeg(_ name: String, _ bus: Bus, _ length: Int) -> FrameCase {
        FrameCase(name: name, bus: bus, frameLengths: [length, length * 9 / 10, length * 11 / 10, length], content: .mjpeg)
    }
    static func yuy2(_ name: String, _ bus: Bus, _ width: Int, _ height: Int) -> FrameCase {
        let length = width * height * 2
        return FrameCase(
            name: name, width: width, height: height, bus: bus, frameLengths: [length, length], content: .uncompressed(length: length))
    }

    /// High speed's largest packet in each microframe, of which half carry data: a camera reserves
    /// more than it needs.
    private static let wide = Bus.isochronous(packetLength: 3072, dataShare: 0.5)
    private static let full = Bus.isochronous(packetLength: 3072, dataShare: 1)
    private static let narrow = Bus.isochronous(packetLength: 192, dataShare: 1)

    /// From 720p to 2160p; compressed frames as large as cameras make them.
    static let all = [
        mjpeg("iso-3072-720p-mjpeg", wide, 150_000),
        mjpeg("iso-3072-1080p-mjpeg", wide, 350_000),
        mjpeg("iso-3072-2160p-mjpeg", full, 1_200_000),
        yuy2("iso-3072-1080p-yuy2", full, 1920, 1080),
        mjpeg("iso-192-720p-mjpeg", narrow, 150_000),
        yuy2("iso-192-720p-yuy2", narrow, 1280, 720),
        mjpeg("bulk-16k-720p-mjpeg", .bulk(payloadLength: 16 << 10), 150_000),
        mjpeg("bulk-16k-1080p-mjpeg", .bulk(payloadLength: 16 << 10), 350_000),
        yuy2("bulk-16k-1080p-yuy2", .bulk(payloadLength: 16 << 10), 1920, 1080),
        mjpeg("bulk-512k-1080p-mjpeg", .bulk(payloadLength: 512 << 10), 350_000),
        mjpeg("bulk-512k-2160p-mjpeg", .bulk(payloadLength: 512 << 10), 1_200_000),
        yuy2("bulk-512k-1080p-yuy2", .bulk(payloadLength: 512 << 10), 1920, 1080),
        yuy2("bulk-512k-2160p-yuy2", .bulk(payloadLength: 512 << 10), 3840, 2160),
    ]
}
