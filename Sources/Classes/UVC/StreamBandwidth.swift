// How much of the bus a stream takes: alternate settings by payload size, and payload sizes computed where the device's are wrong.
import USB

extension StreamingInterface {
    /// The alternate setting for payloads of that size: the smallest that has room for one in each service interval. If none has, the
    /// largest: the device asks for too much, or for nonsense. `nil` only without isochronous settings; a bulk stream uses setting 0.
    public func alternateSetting(forPayloadSize size: Int) -> StreamingAlternateSetting? {
        let settings = alternateSettings.filter { $0.type == .isochronous && $0.bytesPerInterval > 0 }
        let sufficient = settings.filter { $0.bytesPerInterval >= size }
        return sufficient.min { $0.bytesPerInterval < $1.bytesPerInterval }
            ?? settings.max { $0.bytesPerInterval < $1.bytesPerInterval }
    }

    /// `dwMaxPayloadTransferSize` computed for an uncompressed stream, as uvcvideo does for devices that exaggerate: the bytes of one
    /// service interval and a header, but 1024 at least, because a device may send in bursts. `nil` for compressed formats.
    static func computedPayloadSize(_ choice: StreamChoice, speed: USBSpeed) -> UInt32? {
        guard let frameBytes = choice.format.frameBytes(width: choice.frame.width, height: choice.frame.height) else { return nil }
        let perSecond = UInt64(frameBytes) * (10_000_000 / UInt64(max(choice.interval, 1)) + 1)
        let perInterval = speed.slotNanoseconds == 125_000 ? perSecond / 8000 : perSecond / 1000
        return UInt32(clamping: max(1024, perInterval + 12))
    }
}
