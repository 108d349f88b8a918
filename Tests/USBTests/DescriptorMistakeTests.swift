// What devices get wrong: the parser goes on, and says what it found.

import Testing
import USB

@Suite struct DescriptorMistakeTests {
    /// A configuration with value 1, bus-powered, and one vendor interface, around which mistakes are made.
    private static func configuration(total: UInt16? = nil, interfaces: UInt8 = 1, value: UInt8 = 1, _ content: [UInt8]) -> [UInt8] {
        let total = total ?? UInt16(9 + content.count)
        return [9, 0x02, UInt8(total & 0xff), UInt8(total >> 8), interfaces, value, 0, 0x80, 50] + content
    }

    private static let interface: [UInt8] = [9, 0x04, 0, 0, 0, 0xff, 0, 0, 0]
    private static let endpoint: [UInt8] = [7, 0x05, 0x81, 0x02, 0x00, 0x02, 0]

    private static func parse(_ bytes: [UInt8]) -> (ConfigurationDescriptor?, [DescriptorAnomaly]) {
        let set = DescriptorSet(parsing: bytes)
        return (set.configurations.first, set.anomalies)
    }

    @Test func noBytesAreNoDevice() {
        let set = DescriptorSet(parsing: [])
        #expect(set.device == nil)
        #expect(set.configurations.isEmpty)
        #expect(set.anomalies.map(\.kind) == [.missing])
    }

    @Test func aLengthOfZeroEndsTheConfigurationAndNotTheNext() {
        let bytes = Self.configuration(Self.interface + [0, 0xff, 1, 2, 3]) + Self.configuration(value: 2, Self.interface)
        let set = DescriptorSet(parsing: bytes)
        #expect(set.configurations.map(\.value) == [1, 2])
        #expect(set.configurations.map(\.interfaces.count) == [1, 1])
        #expect(set.anomalies.map(\.kind) == [.length])
        #expect(set.anomalies.first?.severity == .lost)
        #expect(set.anomalies.first?.offset == 18)
    }

    @Test func aDescriptorThatIsCutOffIsLeftOut() {
        let (configuration, anomalies) = Self.parse(Self.configuration(total: 26, Self.interface + [9, 0x04, 1, 0, 0, 0xff, 0, 0]))
        #expect(configuration?.interfaces.count == 1)
        #expect(anomalies.contains { $0.kind == .truncated && $0.offset == 18 })
    }

    @Test func theNextConfigurationIsFoundThoughTheFirstClaimsToBeLonger() {
        let bytes = Self.configuration(total: 21, Self.interface) + Self.configuration(value: 2, Self.interface)
        let set = DescriptorSet(parsing: bytes)
        #expect(set.configurations.map(\.value) == [1, 2])
        #expect(set.anomalies.map(\.kind) == [.length])
    }

    @Test func whatFollowsATotalLengthThatIsTooShortIsStillRead() {
        let (configuration, anomalies) = Self.parse(
            Self.configuration(total: 18, [9, 0x04, 0, 0, 1, 0xff, 0, 0, 0] + Self.endpoint))
        #expect(configuration?.interfaces.first?.endpoints.count == 1)
        #expect(anomalies.map(\.message) == ["Configuration 1 announces 18 bytes (wTotalLength) but has 25."])
    }

    @Test func countsThatLieAreSaid() {
        let (configuration, anomalies) = Self.parse(Self.configuration(interfaces: 3, Self.interface + Self.endpoint))
        #expect(configuration?.interfaces.first?.endpoints.count == 1)
        #expect(
            anomalies.map(\.message) == [
                "Configuration 1 announces 3 interfaces but has 1.", "Interface 0 announces 0 endpoints but has 1.",
            ])
    }

    @Test func theFirstOfTwoEndpointsWithOneAddressCounts() {
        let bytes = Self.configuration([9, 0x04, 0, 0, 2, 0xff, 0, 0, 0] + Self.endpoint + [7, 0x05, 0x81, 0x03, 8, 0, 4])
        let (configuration, anomalies) = Self.parse(bytes)
        #expect(configuration?.interfaces.first?.endpoints.map(\.transferType) == [.bulk])
        #expect(anomalies.map(\.kind) == [.duplicate, .count])
    }

    @Test func shortDescriptorsAreKeptWholeAndNotBelieved() {
        let (configuration, anomalies) = Self.parse(Self.configuration(Self.interface + [5, 0x05, 0x81, 2, 0] + [4, 0x04, 1, 0]))
        #expect(configuration?.interfaces.count == 1)
        #expect(configuration?.interfaces.first?.extra.map(\.type) == [0x05, 0x04])
        #expect(anomalies.map(\.kind) == [.length, .length])
    }

    @Test func whatStandsBeforeTheFirstInterfaceIsTheConfigurations() {
        // Realtek's "BIST" block, and an endpoint that has no interface.
        let (configuration, anomalies) = Self.parse(Self.configuration([6, 0xff, 0x42, 0x49, 0x53, 0x54] + Self.endpoint + Self.interface))
        #expect(configuration?.extra.map(\.type) == [0xff, 0x05])
        #expect(anomalies.map(\.kind) == [.unknown, .misplaced])
    }

    @Test func aCompanionWithoutAnEndpointIsSaid() {
        let (configuration, anomalies) = Self.parse(Self.configuration(Self.interface + [6, 0x30, 0, 0, 0, 0]))
        #expect(configuration?.interfaces.first?.extra.map(\.type) == [0x30])
        #expect(anomalies.map(\.kind) == [.misplaced])
    }

    @Test func bytesBehindTheConfigurationsAreCounted() {
        let set = DescriptorSet(parsing: SampleDevice.device + [1, 2, 3])
        #expect(set.device != nil)
        #expect(set.anomalies.map(\.kind) == [.unknown, .count])
        #expect(set.anomalies.first?.message == "3 bytes follow that are not a configuration.")
    }

    @Test func complaintsAreBounded() {
        let endless = Self.configuration(Array(repeating: [4, 0x04, 0, 0] as [UInt8], count: 10_000).flatMap { $0 })
        let set = DescriptorSet(parsing: endless)
        #expect(set.anomalies.count == DescriptorAnomalies.limit)
        #expect(set.omittedAnomalies > 9_000)
    }

    @Test func aMegabyteOfInterfacesIsReadInLinearTime() {
        let many = Array(repeating: [9, 0x04, 0, 0, 1, 0xff, 0, 0, 0, 7, 0x05, 0x81, 2, 0, 2, 0] as [UInt8], count: 60_000).flatMap { $0 }
        let set = DescriptorSet(parsing: Self.configuration(total: 0xffff, many))
        #expect(set.configurations.first?.interfaces.count == 60_000)
    }
}
