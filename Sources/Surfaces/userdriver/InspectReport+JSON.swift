// The report as values that encode to JSON. Numbers that people write in hexadecimal are text, as in `status --json`.

import USB
import UVC

extension InspectReport {
    func json() -> InspectJSON { InspectJSON(self) }
}

/// `{"device":…, "configurations":[…], "video":[…], "odd":[…]}`
struct InspectJSON: Encodable {
    struct Device: Encodable {
        var bus: String?
        var vendorId: String?
        var productId: String?
        var name: String?
        var manufacturer: String?
        var product: String?
        var serialNumber: String?
        var usbVersion: String?
        var deviceVersion: String?
        var `class`: String?
        /// `"low"`, `"full"`, `"high"`, `"super"`, `"superPlus"`.
        var speed: String
        var speedIsGuessed: Bool
    }

    struct Configuration: Encodable {
        var value: UInt8
        var milliamperes: Int
        var selfPowered: Bool
        var remoteWakeup: Bool
        var interfaces: [Interface]
    }

    struct Interface: Encodable {
        var number: UInt8
        var alternateSetting: UInt8
        var `class`: String
        var className: String?
        var endpoints: [Endpoint]
        /// Class-specific and unknown descriptors, in hexadecimal.
        var classDescriptors: [String]
    }

    struct Endpoint: Encodable {
        /// `"0x81"`
        var address: String
        var type: String
        var bytesPerInterval: Int
        /// Absent for control and bulk endpoints.
        var intervalMicroseconds: UInt64?

        init(_ endpoint: EndpointDescriptor, speed: USBSpeed) {
            address = "0x" + hexadecimal(endpoint.address.rawValue, digits: 2)
            type = "\(endpoint.transferType)"
            bytesPerInterval = endpoint.bytesPerInterval(speed: speed)
            intervalMicroseconds = endpoint.intervalNanoseconds(speed: speed).map { $0 / 1000 }
        }
    }

    struct Entity: Encodable {
        var id: UInt8
        var kind: String
        var sources: [UInt8]
        var controls: [String]
        var guid: String?
    }

    struct Frame: Encodable {
        var index: UInt8
        var width: Int
        var height: Int
        /// Frames a second, highest first; the ends of the range where `continuous`.
        var rates: [Double]
        var continuous: Bool
        var defaultRate: Double
        /// Bytes; absent where the device does not say.
        var maxFrameBytes: UInt32?

        init(_ frame: VideoFrame) {
            index = frame.index
            width = frame.width
            height = frame.height
            defaultRate = Self.rate(frame.defaultInterval)
            maxFrameBytes = frame.maxFrameBytes == 0 ? nil : frame.maxFrameBytes
            switch frame.intervals {
            case .discrete: (rates, continuous) = (frame.intervals.roundedRates, false)
            case .continuous(let minimum, let maximum, _): (rates, continuous) = ([minimum, maximum].map(Self.rate), true)
            }
        }

        /// Rounded to thousandths.
        private static func rate(_ interval: UInt32) -> Double {
            interval == 0 ? 0 : (1e10 / Double(interval)).rounded() / 1000
        }
    }

    struct Format: Encodable {
        var index: UInt8
        var format: String
        var fourcc: String?
        /// Of a format that is not in our table.
        var guid: String?
        var defaultFrame: UInt8
        var frames: [Frame]
    }

    struct AlternateSetting: Encodable {
        var number: UInt8
        var bytesPerInterval: Int
    }

    struct Stream: Encodable {
        var interface: UInt8
        var endpoint: String
        var transfer: String
        var alternateSettings: [AlternateSetting]
        var stillImageMethod: UInt8
        var formats: [Format]
    }

    struct Function: Encodable {
        var configuration: UInt8
        var controlInterface: UInt8
        var uvcVersion: String
        var clockFrequency: UInt32
        var entities: [Entity]
        var streams: [Stream]
    }

    var device: Device
    var configurations: [Configuration]
    var video: [Function]
    var odd: [DescriptorAnomaly]
}

extension InspectJSON {
    init(_ report: InspectReport) {
        let device = report.descriptors.device
        let information = report.information
        self.device = Device(
            bus: information?.path, vendorId: device.map { hexadecimal($0.vendorID, digits: 4) },
            productId: device.map { hexadecimal($0.productID, digits: 4) }, name: report.name, manufacturer: information?.manufacturer,
            product: information?.product, serialNumber: information?.serialNumber,
            usbVersion: device.map { InspectReport.version($0.usbVersion) },
            deviceVersion: device.map { InspectReport.version($0.deviceVersion) }, class: device.map { $0.code.description },
            speed: Self.word(report.speed), speedIsGuessed: report.speedIsGuessed)
        configurations = report.descriptors.configurations.map { Self.configuration($0, speed: report.speed) }
        video = zip(report.descriptors.configurations, report.functions).flatMap { configuration, functions in
            functions.map { Self.function($0, configuration: configuration.value) }
        }
        odd = report.anomalies
    }

    private static func word(_ speed: USBSpeed) -> String {
        switch speed {
        case .unknown: "unknown"
        case .low: "low"
        case .full: "full"
        case .high: "high"
        case .wireless: "wireless"
        case .super: "super"
        case .superPlus: "superPlus"
        }
    }

    private static func configuration(_ configuration: ConfigurationDescriptor, speed: USBSpeed) -> Configuration {
        Configuration(
            value: configuration.value, milliamperes: configuration.milliamperes(speed: speed), selfPowered: configuration.isSelfPowered,
            remoteWakeup: configuration.canWakeHost,
            interfaces: configuration.interfaces.map { interface in
                Interface(
                    number: interface.number, alternateSetting: interface.alternateSetting, class: interface.code.description,
                    className: interface.code.name, endpoints: interface.endpoints.map { Endpoint($0, speed: speed) },
                    classDescriptors: interface.classDescriptors.map { $0.bytes.map { hexadecimal($0, digits: 2) }.joined() })
            })
    }

    private static func function(_ function: VideoFunction, configuration: UInt8) -> Function {
        Function(
            configuration: configuration, controlInterface: function.controlInterface,
            uvcVersion: InspectReport.version(function.uvcVersion), clockFrequency: function.clockFrequency,
            entities: function.entities.map { entity in
                var guid: String?
                if case .extensionUnit(let unit) = entity.kind { guid = unit.guid.description }
                return Entity(
                    id: entity.id, kind: entity.kindName, sources: entity.sources, controls: entity.controlNames, guid: guid)
            },
            streams: function.streamingInterfaces.map(stream))
    }

    private static func stream(_ stream: StreamingInterface) -> Stream {
        Stream(
            interface: stream.number, endpoint: "0x" + hexadecimal(stream.endpoint.rawValue, digits: 2),
            transfer: stream.isBulk ? "bulk" : "isochronous",
            alternateSettings: stream.alternateSettings.map {
                AlternateSetting(number: $0.number, bytesPerInterval: $0.bytesPerInterval)
            },
            stillImageMethod: stream.stillImage.method,
            formats: stream.formats.map { format in
                Format(
                    index: format.index, format: format.name,
                    fourcc: format.pixelFormat?.fourCC ?? format.unknownGUID.flatMap(PixelFormat.letters),
                    guid: format.unknownGUID?.description, defaultFrame: format.defaultFrameIndex, frames: format.frames.map(Frame.init))
            })
    }
}
