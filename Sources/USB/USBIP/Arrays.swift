// The same decoders for bytes in an array.

extension Array where Element == UInt8 {
    fileprivate func decode<T>(_ body: (UnsafeRawBufferPointer) throws(USBIPError) -> T) throws(USBIPError) -> T {
        let result: Result<T, USBIPError> = withUnsafeBytes { raw in
            do throws(USBIPError) { return .success(try body(raw)) } catch { return .failure(error) }
        }
        return try result.get()
    }
}

extension OperationHeader {
    public init(decoding bytes: [UInt8]) throws(USBIPError) {
        self = try bytes.decode { (raw) throws(USBIPError) in try Self(decoding: raw) }
    }
}

extension ImportRequest {
    /// From the whole request, header included.
    public init(decoding bytes: [UInt8]) throws(USBIPError) {
        self = try bytes.decode { (raw) throws(USBIPError) in
            let header = try OperationHeader(decoding: raw)
            guard header.code == .requestImport else { throw USBIPError(.code, "\(header.code) instead of an import request") }
            return try Self(decodingBody: UnsafeRawBufferPointer(rebasing: raw[OperationHeader.byteCount...]))
        }
    }
}

extension DeviceRecord {
    public init(decoding bytes: [UInt8]) throws(USBIPError) {
        self = try bytes.decode { (raw) throws(USBIPError) in try Self(decoding: raw) }
    }
}

extension DeviceList {
    public static func decode(_ bytes: [UInt8]) throws(USBIPError) -> Progress {
        try bytes.decode { (raw) throws(USBIPError) in try decode(raw) }
    }
}

extension URBHeader {
    public init(decoding bytes: [UInt8]) throws(USBIPError) {
        self = try bytes.decode { (raw) throws(USBIPError) in try Self(decoding: raw) }
    }
}

extension IsochronousDescriptor {
    public init(decoding bytes: [UInt8]) throws(USBIPError) {
        self = try bytes.decode { (raw) throws(USBIPError) in try Self(decoding: raw) }
    }
}
