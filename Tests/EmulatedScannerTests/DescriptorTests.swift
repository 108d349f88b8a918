// The descriptors and the class's requests are what the specifications have.

import Testing
import Threads
import USB
import USBEmulation

@testable import EmulatedScanner

@Suite struct DescriptorTests {
    @Test(arguments: EmulatedScannerOptions.Layout.allCases, [1, 3, 4])
    func theyParseWithoutAnomaly(layout: EmulatedScannerOptions.Layout, pairs: Int) throws {
        var options = EmulatedScannerOptions()
        options.layout = layout
        options.pairs = pairs
        let descriptors = ScannerDescriptors(options: options).all
        let set = DescriptorSet(parsing: descriptors.device + descriptors.configurations[0])
        #expect(set.anomalies.isEmpty, "\(set.anomalies)")
        let configuration = try #require(set.configurations.first)
        #expect(configuration.interfaceNumbers.count == pairs)
        for index in 0..<UInt8(pairs) {
            let last = try #require(configuration.alternateSettings(of: index).last)
            #expect(last.interfaceClass == 7 && last.interfaceSubclass == 1 && last.interfaceProtocol == 4)
            #expect(last.endpoints.map(\.address.rawValue) == [index + 1, 0x81 + index])
            let first = try #require(configuration.alternateSettings(of: index).first)
            switch layout {
            case .shared:
                #expect(first.interfaceProtocol == 2 && first.endpoints.map(\.address) == last.endpoints.map(\.address))
            case .hollow: #expect(first.interfaceProtocol == 4 && first.endpoints.isEmpty)
            case .plain: #expect(first.alternateSetting == last.alternateSetting)
            }
        }
    }

    @Test func theDeviceIDHasItsLengthInFront() throws {
        let bus = try ScannerBus()
        let setup = ControlSetup(requestType: 0xa1, request: 0, value: 0, index: 0x0201, length: 1024)
        guard case .data(let bytes) = bus.scanner.control(setup, data: [], now: 0) else { Issue.record("stalled"); return }
        #expect(Int(bytes[0]) << 8 | Int(bytes[1]) == bytes.count)
        let text = String(decoding: bytes[2...], as: UTF8.self)
        #expect(text.hasPrefix("MFG:UserDriver;MDL:Emulated Scanner;CMD:"))
        #expect(text.contains("CLS:PRINTER;"))
        // There is no fourth interface.
        let other = ControlSetup(requestType: 0xa1, request: 0, value: 0, index: 0x0300, length: 1024)
        guard case .stall = bus.scanner.control(other, data: [], now: 0) else { Issue.record("answered"); return }
    }

    @Test func aSoftResetEmptiesThePipe() throws {
        let bus = try ScannerBus("stale@700")
        let setup = ControlSetup(requestType: 0x21, request: 2, value: 0, index: 0, length: 0)
        bus.write(ScannerBus.request("GET", "/eSCL/ScannerStatus"))
        guard case .data = bus.scanner.control(setup, data: [], now: 0) else { Issue.record("stalled"); return }
        #expect(bus.signal.state.withLock { $0.flushed } == [ScannerInterface.in(0)])
    }

    @Test func theOldPrinterProtocolAnswersNothing() throws {
        let bus = try ScannerBus()
        bus.patience = 1
        bus.scanner.alternateSettingChanged(interface: 0, to: 0, now: 0)
        bus.write(ScannerBus.request("GET", "/eSCL/ScannerStatus"))
        #expect(throws: PipeFailure.silence) { try bus.transfer() }
        bus.scanner.alternateSettingChanged(interface: 0, to: 1, now: 0)
        #expect(throws: PipeFailure.silence) { try bus.transfer() }
    }
}
