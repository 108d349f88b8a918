// How much an endpoint moves, and how often, at each speed.

import Testing
import USB

@Suite struct EndpointTests {
    private static func endpoint(
        _ type: TransferType, _ size: UInt16, interval: UInt8 = 1, companion: SuperSpeedCompanion? = nil, plus: UInt32? = nil
    ) -> EndpointDescriptor {
        EndpointDescriptor(
            address: EndpointAddress(rawValue: 0x81), attributes: type.rawValue, maxPacketSizeField: size, interval: interval,
            superSpeed: companion, superSpeedPlusBytesPerInterval: plus)
    }

    @Test(arguments: [
        (UInt16(0x0400), 1024), (0x0b00, 1536), (0x1400, 3072), (0x13fc, 3060), (0x1c00, 3072), (0x0000, 0),
    ])
    func highSpeedMovesUpToThreePacketsAMicroframe(field: UInt16, bytes: Int) {
        #expect(Self.endpoint(.isochronous, field).bytesPerInterval(speed: .high) == bytes)
    }

    @Test func fullSpeedMovesOnePacket() {
        #expect(Self.endpoint(.isochronous, 1023).bytesPerInterval(speed: .full) == 1023)
        #expect(Self.endpoint(.isochronous, 0x1400).bytesPerInterval(speed: .full) == 1024)
    }

    @Test func superSpeedMovesWhatItsCompanionSays() {
        let companion = SuperSpeedCompanion(maxBurst: 3, attributes: 1, bytesPerInterval: 5000)
        #expect(Self.endpoint(.isochronous, 1024, companion: companion).bytesPerInterval(speed: .super) == 5000)
        #expect(Self.endpoint(.isochronous, 1024, companion: companion).bytesPerInterval(speed: .unknown) == 5000)
    }

    @Test func aCompanionThatSaysNothingGivesWayToItsBurst() {
        let companion = SuperSpeedCompanion(maxBurst: 3, attributes: 1, bytesPerInterval: 0)
        #expect(Self.endpoint(.isochronous, 1024, companion: companion).bytesPerInterval(speed: .super) == 1024 * 4 * 2)
    }

    @Test func superSpeedPlusHasACompanionOfItsOwn() {
        let companion = SuperSpeedCompanion(maxBurst: 15, attributes: 2, bytesPerInterval: 49152)
        let endpoint = Self.endpoint(.isochronous, 1024, companion: companion, plus: 98304)
        #expect(endpoint.bytesPerInterval(speed: .superPlus) == 98304)
        #expect(endpoint.bytesPerInterval(speed: .super) == 49152)
    }

    @Test func aBulkEndpointMovesPackets() {
        let companion = SuperSpeedCompanion(maxBurst: 15, attributes: 0, bytesPerInterval: 0)
        #expect(Self.endpoint(.bulk, 1024, companion: companion).bytesPerInterval(speed: .super) == 1024)
        #expect(Self.endpoint(.bulk, 512).intervalNanoseconds(speed: .high) == nil)
    }

    @Test func intervalsAreExponentsButForSlowInterrupts() {
        #expect(Self.endpoint(.interrupt, 16, interval: 8).intervalNanoseconds(speed: .high) == 16_000_000)
        #expect(Self.endpoint(.interrupt, 16, interval: 8).intervalNanoseconds(speed: .full) == 8_000_000)
        #expect(Self.endpoint(.isochronous, 16, interval: 4).intervalNanoseconds(speed: .full) == 8_000_000)
        #expect(Self.endpoint(.isochronous, 16, interval: 1).intervalNanoseconds(speed: .super) == 125_000)
    }

    @Test func intervalsBeyondTheSpecificationAreBounded() {
        #expect(Self.endpoint(.interrupt, 16, interval: 0).intervalNanoseconds(speed: .high) == 125_000)
        #expect(Self.endpoint(.interrupt, 16, interval: 255).intervalNanoseconds(speed: .high) == 4_096_000_000)
    }
}
