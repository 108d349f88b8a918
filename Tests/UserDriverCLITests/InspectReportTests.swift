// `inspect`: the tree that people read, the JSON that programs read, and the files that it takes.

import FoundationEssentials
import Testing
import USB
import UVC

@testable import UserDriverCLI

@Suite struct InspectReportTests {
    /// A small camera with a mistake: it announces two formats and has one.
    static let descriptors: [UInt8] = {
        let device: [UInt8] = [18, 1, 0, 2, 0xef, 2, 1, 64, 0x09, 0x12, 0x0c, 0, 0, 1, 1, 2, 3, 1]
        var body: [UInt8] = [9, 4, 0, 0, 1, 0x0e, 1, 0, 0]
        body += [13, 0x24, 1, 0x10, 1, 52, 0, 0, 0x6c, 0xdc, 2, 1, 1]
        body += [18, 0x24, 2, 1, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0x0a, 0, 0]
        body += [12, 0x24, 5, 2, 1, 0, 0, 2, 3, 4, 0, 0]
        body += [9, 0x24, 3, 4, 1, 1, 0, 2, 0]
        body += [7, 5, 0x83, 3, 16, 0, 8]
        body += [9, 4, 1, 0, 0, 0x0e, 2, 0, 0]
        body += [14, 0x24, 1, 2, 99, 0, 0x81, 0, 4, 0, 0, 0, 1, 0]
        body += [11, 0x24, 6, 1, 2, 1, 1, 0, 0, 0, 0]
        for (index, width, height) in [(1, 640, 480), (2, 1280, 720)] as [(UInt8, UInt16, UInt16)] {
            body += [34, 0x24, 7, index, 0, UInt8(width & 0xff), UInt8(width >> 8), UInt8(height & 0xff), UInt8(height >> 8)]
            body += [0, 0, 0x77, 1, 0, 0, 0xca, 8, 0, 0x60, 9, 0, 0x15, 0x16, 5, 0, 2, 0x15, 0x16, 5, 0, 0x2a, 0x2c, 0x0a, 0]
        }
        body += [6, 0x24, 0x0d, 1, 1, 4]
        for (setting, low, high) in [(1, 0, 2), (2, 0, 0x0c), (3, 0, 0x14)] as [(UInt8, UInt8, UInt8)] {
            body += [9, 4, 1, setting, 1, 0x0e, 2, 0, 0, 7, 5, 0x81, 5, low, high, 1]
        }
        return device + [9, 2, UInt8((9 + body.count) & 0xff), UInt8((9 + body.count) >> 8), 2, 1, 0, 0x80, 250] + body
    }()

    @Test func theTreeIsWhatAPersonReads() {
        let information = USBDeviceInformation(
            path: "1-2", speed: .high, descriptors: Self.descriptors, manufacturer: "Example", product: "Example Camera",
            serialNumber: "A1")
        #expect(
            InspectReport(information).text() == """
                Example Camera  1209:000c  at 1-2  serial A1
                USB 2.00, device version 1.00, high speed, 480 Mbit/s

                configuration 1: 2 interfaces, 500 mA
                  interface 0  video control, class 0e/01/00
                    endpoint 3 IN, interrupt, 16 bytes every 16 ms
                  interface 1  video streaming, class 0e/02/00
                    alternate 0      no endpoint
                    alternates 1–3   endpoint 1 IN, isochronous, 512 2048 3072 bytes every 125 µs, at most 24.5 MB/s

                camera on interface 0 with 1: UVC 1.10, clock 48 MHz, reports changes on endpoint 3 IN
                  picture    camera terminal 1 → processing unit 2 → output terminal 4 → interface 1
                  controls   camera terminal 1  exposure_auto, exposure_time_absolute
                             processing unit 2  brightness, contrast, power_line_frequency
                  stream     interface 1, endpoint 1 IN, isochronous  (* default size)
                             mjpeg   640×480*  1280×720  at 30 15 fps

                odd:
                  wrong  Streaming interface 1 announces 2 formats (bNumFormats) but has 1.

                """)
    }

    @Test func withoutADeviceTheSpeedIsAGuess() {
        let text = InspectReport(descriptors: Self.descriptors).text()
        #expect(text.hasPrefix("1209:000c\nUSB 2.00, device version 1.00, looks like high speed, 480 Mbit/s\n"))
    }

    @Test func bytesThatAreNoDeviceAreSaidToBeOdd() {
        let text = InspectReport(descriptors: [UInt8](repeating: 7, count: 20)).text()
        #expect(text.contains("lost   The bytes do not begin with a whole device descriptor."))
    }

    @Test func jsonHasTheSameFacts() throws {
        struct Facts: Decodable, Equatable {
            struct Device: Decodable, Equatable {
                var vendorId: String
                var productId: String
                var speed: String
                var speedIsGuessed: Bool
            }
            struct Video: Decodable, Equatable {
                struct Entity: Decodable, Equatable {
                    var id: Int
                    var kind: String
                    var controls: [String]
                }
                struct Stream: Decodable, Equatable {
                    struct Setting: Decodable, Equatable {
                        var number: Int
                        var bytesPerInterval: Int
                    }
                    struct Format: Decodable, Equatable {
                        struct Frame: Decodable, Equatable {
                            var width: Int
                            var height: Int
                            var rates: [Double]
                        }
                        var format: String
                        var fourcc: String
                        var frames: [Frame]
                    }
                    var transfer: String
                    var alternateSettings: [Setting]
                    var formats: [Format]
                }
                var uvcVersion: String
                var entities: [Entity]
                var streams: [Stream]
            }
            struct Odd: Decodable, Equatable {
                var severity: String
                var kind: String
                var message: String
            }
            var device: Device
            var video: [Video]
            var odd: [Odd]
        }
        let data = try JSONEncoder().encode(InspectReport(descriptors: Self.descriptors).json())
        let rates = [30.0, 15.0]
        let expected = Facts(
            device: .init(vendorId: "1209", productId: "000c", speed: "high", speedIsGuessed: true),
            video: [
                .init(
                    uvcVersion: "1.10",
                    entities: [
                        .init(id: 1, kind: "camera terminal", controls: ["exposure_auto", "exposure_time_absolute"]),
                        .init(id: 2, kind: "processing unit", controls: ["brightness", "contrast", "power_line_frequency"]),
                        .init(id: 4, kind: "output terminal", controls: []),
                    ],
                    streams: [
                        .init(
                            transfer: "isochronous",
                            alternateSettings: [
                                .init(number: 1, bytesPerInterval: 512), .init(number: 2, bytesPerInterval: 2048),
                                .init(number: 3, bytesPerInterval: 3072),
                            ],
                            formats: [
                                .init(
                                    format: "mjpeg", fourcc: "MJPG",
                                    frames: [.init(width: 640, height: 480, rates: rates), .init(width: 1280, height: 720, rates: rates)])
                            ])
                    ])
            ],
            odd: [
                .init(severity: "wrong", kind: "count", message: "Streaming interface 1 announces 2 formats (bNumFormats) but has 1.")
            ])
        #expect(try JSONDecoder().decode(Facts.self, from: data) == expected)
    }

    @Test func ratesAreWrittenAsPeopleSayThem() {
        let intervals: [UInt32] = [333_333, 333_334, 333_667, 666_666, 1_333_333, 83_333, 10_000_000, 20_000_000, 1]
        #expect(intervals.map(FrameIntervals.rate) == ["30", "30", "29.97", "15", "7.5", "120", "1", "0.5", "10000000"])
    }
}

@Suite struct DescriptorFileTests {
    private static let configuration: [UInt8] = [9, 2, 9, 0, 0, 1, 0, 0x80, 50]

    private static func failure(_ content: [UInt8]) -> String? {
        do {
            let bytes = try DescriptorFile.decode(content, path: "f")
            return "\(bytes.count) bytes"
        } catch {
            return "\(error)"
        }
    }

    @Test func binaryAndHexadecimalAreToldApart() throws {
        #expect(try DescriptorFile.decode(Self.configuration, path: "f") == Self.configuration)
        for text in [
            "090209000001008032", "# a note\n09 02 09 00 00\r\n01 00 80 32 # the end\n", "0x09,0x02,0x09,0x00,0x00,0x01 0x00 0x80 0x32",
        ] {
            #expect(try DescriptorFile.decode(Array(text.utf8), path: "f") == Self.configuration)
        }
    }

    @Test func whatIsWrongIsSaidWithItsPlace() {
        #expect(Self.failure([]) == "f is empty.")
        #expect(Self.failure(Array(" \n\t".utf8)) == "f is empty.")
        #expect(Self.failure(Array("# nothing\n".utf8)) == "f has only comments and no bytes.")
        #expect(
            Self.failure(Array("# x\n0902zz".utf8)) == "f, line 2: \"z\" is not a hexadecimal digit, and the file is not binary either.")
        #expect(Self.failure(Array("09 020".utf8)) == "f, line 1: an odd number of hexadecimal digits (3).")
        #expect(Self.failure(Array("0902".utf8)) == "f holds 2 bytes, too few for descriptors: a device descriptor alone has 18.")
        #expect(Self.failure(Array("12ü0".utf8)) == "f, line 1: byte 195 is not a hexadecimal digit, and the file is not binary either.")
    }

    @Test func aFileThatCannotBeReadIsNamed() {
        #expect(throws: DescriptorFile.Failure(description: "/nowhere/at/all can't be opened: No such file or directory.")) {
            try DescriptorFile.load(path: "/nowhere/at/all")
        }
        #expect(throws: DescriptorFile.Failure(description: "/dev/zero is longer than 1 MiB: no device has that many descriptors.")) {
            try DescriptorFile.load(path: "/dev/zero")
        }
    }
}
