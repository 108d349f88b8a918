// What `userdriver inspect` tells of a device: its descriptors, read by us, as a tree for people and as JSON for programs.

import USB
import UVC

/// A device's descriptors, parsed once; `text()` and `json()` are two views of the same.
struct InspectReport {
    let information: USBDeviceInformation?
    let descriptors: DescriptorSet
    let speed: USBSpeed
    /// Whether `speed` is what the descriptors look like rather than what somebody measured.
    let speedIsGuessed: Bool
    /// The video functions of each configuration, in the same order.
    let functions: [[VideoFunction]]
    /// What is odd in the descriptors of all kinds, in the order of the bytes.
    let anomalies: [DescriptorAnomaly]

    /// Video interfaces of the vendor's own class count too when they look like UVC: to look at them harms nobody.
    init(descriptors bytes: [UInt8], information: USBDeviceInformation? = nil) {
        self.information = information
        descriptors = DescriptorSet(parsing: bytes)
        let known = information?.speed ?? .unknown
        speedIsGuessed = known == .unknown
        let speed = known == .unknown ? descriptors.likelySpeed : known
        self.speed = speed
        functions = descriptors.configurations.map { VideoFunction.all(in: $0, speed: speed, allowingVendorClass: true) }
        anomalies = (descriptors.anomalies + functions.joined().flatMap(\.anomalies)).sorted { $0.offset < $1.offset }
    }

    init(_ information: USBDeviceInformation) {
        self.init(descriptors: information.descriptors, information: information)
    }

    /// `"Logitech Webcam C270"`, as far as it is known. Many products repeat their maker's name.
    var name: String? {
        let maker = information?.manufacturer ?? ""
        let product = information?.product ?? ""
        if maker.isEmpty || product.lowercased().hasPrefix(maker.lowercased()) { return product.isEmpty ? nil : product }
        return product.isEmpty ? maker : "\(maker) \(product)"
    }

    /// `"2.00"` of 0x0200.
    static func version(_ bcd: UInt16) -> String { "\(String(bcd >> 8, radix: 16)).\(hexadecimal(bcd & 0xff, digits: 2))" }
}

extension FrameIntervals {
    /// Frames a second, as people write them: `"30"`, `"7.5"`, `"29.97"`.
    static func rate(_ interval: UInt32) -> String {
        guard interval > 0 else { return "0" }
        let hundredths = (1_000_000_000 + UInt64(interval) / 2) / UInt64(interval)
        // 333333 and 333334 stand for a third of a second over ten; so does every interval within a tenth of a per cent.
        let whole = (hundredths + 50) / 100
        let distance = hundredths > whole * 100 ? hundredths - whole * 100 : whole * 100 - hundredths
        if whole > 0, distance * 2000 <= hundredths { return "\(whole)" }
        let fraction = hundredths % 100
        return fraction % 10 == 0 ? "\(hundredths / 100).\(fraction / 10)" : "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
    }

    /// `"30 29 … 1"` where every whole number in between is there.
    private static func shortened(_ rates: [String]) -> [String] {
        let numbers = rates.compactMap { Int($0) }
        guard numbers.count == rates.count, numbers.count > 6, zip(numbers, numbers.dropFirst()).allSatisfy({ $0 - 1 == $1 }) else {
            return rates
        }
        return [rates[0], rates[1], "…", rates[rates.count - 1]]
    }

    /// Intervals that read the same stand once.
    private static func once(_ rates: [String]) -> [String] {
        rates.enumerated().filter { !rates[..<$0.offset].contains($0.element) }.map(\.element)
    }

    /// `"30 25 20 fps"`, `"5…30 fps"`.
    var text: String {
        switch self {
        case .discrete(let list):
            Self.shortened(Self.once(list.map(Self.rate))).joined(separator: " ") + " fps"
        case .continuous(let minimum, let maximum, _) where Self.rate(minimum) == Self.rate(maximum): "\(Self.rate(minimum)) fps"
        case .continuous(let minimum, let maximum, _): "\(Self.rate(maximum))…\(Self.rate(minimum)) fps"
        }
    }
}
