// What the kernel's USB core does with a new device: its descriptors, its strings, a configuration.

public import USB
import USBIP

extension USBIPDevice {
    /// Reads the device's identity, and sets its first configuration if it has none. Takes the import's socket, also when it throws.
    public static func open(_ imported: USBIPImport) async throws(USBError) -> USBIPDevice {
        let channel = try channel(of: imported)
        do throws(USBError) {
            return USBIPDevice(channel: channel, information: try await information(channel, imported))
        } catch {
            channel.close()
            throw error
        }
    }

    private static func channel(of imported: USBIPImport) throws(USBError) -> URBChannel {
        guard let socket = imported.takeSocket() else {
            throw USBError(.invalidArgument, operation: "open \(imported.address)", detail: "its socket was taken already")
        }
        return try URBChannel(socket, deviceID: imported.deviceID)
    }

    private static func information(_ channel: URBChannel, _ imported: USBIPImport) async throws(USBError) -> USBDeviceInformation {
        func descriptor(_ type: UInt8, _ index: UInt8 = 0, language: UInt16 = 0, length: UInt16) async throws(USBError) -> [UInt8] {
            let setup = ControlSetup(
                requestType: 0x80, request: StandardRequest.getDescriptor, value: UInt16(type) << 8 | UInt16(index), index: language,
                length: length)
            return try await channel.control(setup, sending: [], timeout: standardTimeout)
        }

        let device = try await descriptor(DescriptorType.device, length: UInt16(DeviceDescriptor.length))
        guard let fields = DeviceDescriptor(RawDescriptor(bytes: device)) else {
            throw USBError(.malformedAnswer, operation: "GET_DESCRIPTOR(device)", detail: "\(device.count) bytes")
        }
        var descriptors = device
        for index in 0..<min(fields.configurationCount, 32) {
            let head = try await descriptor(DescriptorType.configuration, index, length: 9)
            guard head.count >= 4 else {
                throw USBError(.malformedAnswer, operation: "GET_DESCRIPTOR(configuration \(index))", detail: "\(head.count) bytes")
            }
            let total = UInt16(head[2]) | UInt16(head[3]) << 8
            descriptors += try await descriptor(DescriptorType.configuration, index, length: max(9, total))
        }

        /// A string that can't be had is none: many devices refuse one that they announce.
        func string(_ index: UInt8, _ language: UInt16) async throws(USBError) -> String? {
            guard index != 0 else { return nil }
            do throws(USBError) {
                return StringDescriptor.text(try await descriptor(DescriptorType.string, index, language: language, length: 255))
            } catch {
                guard error.code == .stall || error.code == .timedOut else { throw error }
                return nil
            }
        }
        var language = StringDescriptor.english
        if fields.manufacturerIndex != 0 || fields.productIndex != 0 || fields.serialNumberIndex != 0 {
            do throws(USBError) {
                let languages = StringDescriptor.languages(try await descriptor(DescriptorType.string, length: 255))
                if !languages.contains(language), let first = languages.first { language = first }
            } catch {
                guard error.code == .stall || error.code == .timedOut else { throw error }
            }
        }

        var information = USBDeviceInformation(
            path: imported.address.description, speed: imported.record.speed, descriptors: descriptors,
            manufacturer: try await string(fields.manufacturerIndex, language), product: try await string(fields.productIndex, language),
            serialNumber: try await string(fields.serialNumberIndex, language), busNumber: imported.record.busNumber,
            deviceNumber: imported.record.deviceNumber)

        let first = DescriptorSet(parsing: descriptors).configurations.first
        for function in (first?.functions ?? []).prefix(USBFunction.mostNames) {
            information.interfaceNames[function.firstInterface] = try await string(function.nameIndex, language)
        }
        try await configure(channel, first)
        return information
    }

    /// Sets the first configuration unless one is set. A device that refuses to say is given it, and one that refuses that twice (a server that
    /// configures its devices itself) is taken as it is.
    private static func configure(_ channel: URBChannel, _ first: ConfigurationDescriptor?) async throws(USBError) {
        do throws(USBError) {
            let active = try await channel.control(
                ControlSetup(requestType: 0x80, request: StandardRequest.getConfiguration, value: 0, index: 0, length: 1), sending: [],
                timeout: standardTimeout)
            if active.first ?? 0 != 0 { return }
        } catch {
            guard error.code == .stall || error.code == .timedOut else { throw error }
        }
        guard let first else { return }
        let setup = ControlSetup(requestType: 0, request: StandardRequest.setConfiguration, value: UInt16(first.value), index: 0, length: 0)
        for _ in 1...2 {
            do throws(USBError) {
                _ = try await channel.control(setup, sending: [], timeout: standardTimeout)
                return
            } catch {
                if error.code == .timedOut { return }
                guard error.code == .stall else { throw error }
            }
        }
    }
}
