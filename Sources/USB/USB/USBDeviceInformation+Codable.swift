// A device's information on its way to another process: the descriptors as hexadecimal text, half as long as a list of numbers.

extension USBDeviceInformation: Codable {
    private enum CodingKeys: String, CodingKey {
        case path, speed, descriptors, manufacturer, product, serialNumber, busNumber, deviceNumber
    }

    /// Throws `DecodingError`, also for descriptors that are not hexadecimal text.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let text = try container.decode(String.self, forKey: .descriptors)
        guard let descriptors = Self.bytes(hexadecimal: text) else {
            throw DecodingError.dataCorruptedError(
                forKey: .descriptors, in: container, debugDescription: "descriptors are pairs of hexadecimal digits")
        }
        self.init(
            path: try container.decode(String.self, forKey: .path), speed: try container.decode(USBSpeed.self, forKey: .speed),
            descriptors: descriptors, manufacturer: try container.decodeIfPresent(String.self, forKey: .manufacturer),
            product: try container.decodeIfPresent(String.self, forKey: .product),
            serialNumber: try container.decodeIfPresent(String.self, forKey: .serialNumber),
            busNumber: try container.decode(UInt32.self, forKey: .busNumber),
            deviceNumber: try container.decode(UInt32.self, forKey: .deviceNumber))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(path, forKey: .path)
        try container.encode(speed, forKey: .speed)
        try container.encode(Self.hexadecimal(descriptors), forKey: .descriptors)
        try container.encodeIfPresent(manufacturer, forKey: .manufacturer)
        try container.encodeIfPresent(product, forKey: .product)
        try container.encodeIfPresent(serialNumber, forKey: .serialNumber)
        try container.encode(busNumber, forKey: .busNumber)
        try container.encode(deviceNumber, forKey: .deviceNumber)
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    private static func bytes(hexadecimal text: String) -> [UInt8]? {
        let values = text.utf8.map { Character(UnicodeScalar($0)).hexDigitValue }
        guard values.count.isMultiple(of: 2), values.allSatisfy({ $0 != nil }) else { return nil }
        return stride(from: 0, to: values.count, by: 2).map { UInt8((values[$0] ?? 0) << 4 | (values[$0 + 1] ?? 0)) }
    }
}
