// UVC's payloads as the stream engine takes them.

package import DriverStreams
import FrameRing
package import TransferRing
package import USB
package import UVC

/// `PayloadAssembler` for one stream, isochronous or bulk.
package struct VideoAssembler: FrameAssembler {
    private var assembler: PayloadAssembler
    private let isIsochronous: Bool

    package init(_ settings: PayloadAssembler.Settings, type: TransferType) {
        assembler = PayloadAssembler(settings: settings)
        isIsochronous = type == .isochronous
    }

    package var state: AssemblyState {
        get { assembler.state }
        set { assembler.state = newValue }
    }
    /// The largest payload header (UVC 1.5 §2.4.3.3).
    package static var headerLength: Int { 12 }
    package var frameLength: Int { Int(assembler.state.length) }
    package var missedFrames: UInt64 { assembler.state.missedFrames }

    package var expectedLength: Int? {
        if case .uncompressed(let length) = assembler.settings.content, length > 0 { return length }
        return nil
    }

    package var remark: String? {
        let marks = assembler.state.frameMarks
        return marks == .sound ? nil : marks.description
    }

    package mutating func dataLost() { assembler.packetsSkipped() }

    package mutating func take(
        _ transfer: TransferRing.Transfer, at time: UInt64, into slot: UnsafeMutableRawBufferPointer
    ) -> StreamFrame? {
        let ended =
            isIsochronous
            ? assembler.isochronous(transfer.bytes, packets: transfer.packets, at: time, into: slot)
            : assembler.bulk(transfer.bytes, requested: transfer.requested, status: transfer.status, at: time, into: slot)
        guard let frame = ended else { return nil }
        return StreamFrame(
            length: frame.length, captured: frame.captured, deviceTime: UInt64(frame.presentationTime ?? 0), flags: FrameFlags(frame),
            isFragment: isFragment(frame))
    }

    /// A part of a frame that was counted already.
    private func isFragment(_ frame: AssembledFrame) -> Bool {
        guard !frame.damage.isEmpty, case .uncompressed(let length) = assembler.settings.content else { return !frame.damage.isEmpty }
        return frame.length < length / 2
    }
}

extension FrameFlags {
    /// What readers are told of a frame's state.
    fileprivate init(_ frame: AssembledFrame) {
        self = frame.isRepaired ? .repaired : []
        guard !frame.damage.isEmpty else { return }
        insert(.damaged)
        let reasons: [(FrameDamage, FrameFlags)] = [
            (.short, .short), (.oversize, .oversize), (.packetLost, .lostPackets), (.errorBit, .deviceError),
            (.malformedPayload, .malformed), (.noStart, .cutPicture), (.noEnd, .cutPicture),
        ]
        for (damage, flag) in reasons where frame.damage.contains(damage) { insert(flag) }
    }
}
