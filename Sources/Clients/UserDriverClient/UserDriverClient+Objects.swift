// Jobs and objects: what devices deliver whole.

import CLinux
import FileDescriptors
public import Wire

extension UserDriverClient {
    /// Begins a job with a device, or continues the one with that token. It asks the device for
    /// nothing: that takes a call to its driver, which is told the token.
    public func openJob(_ selector: String? = nil, token: String = DeviceJob.newToken()) async throws(ClientError) -> DeviceJob {
        let reply = try await request("OpenJob", ["device": selector, "job": token])
        guard let job = reply["job"]?.stringValue, let device = reply["device"]?.stringValue else { throw Self.malformed("OpenJob") }
        return DeviceJob(token: job, deviceID: device, client: self)
    }

    /// This user's objects that are not acknowledged: of a device, of a job, or all.
    public func objects(_ selector: String? = nil, job: String? = nil) async throws(ClientError) -> [ObjectStatus] {
        let (directory, timeout) = (runtimeDirectory, callTimeout)
        return try await ClientThread.run("userdriver-call") { (cancellation) throws(ClientError) in
            let connection = try DaemonConnection(directory)
            cancellation.enter(connection)
            let deadline = clinux_monotonic_ns() + timeout.clientNanoseconds
            var page = ObjectPage(device: selector, job: job)
            var objects: [ObjectStatus] = []
            while let parameters = page.parameters {
                objects += try page.take(try connection.call(ObjectPage.method, parameters, deadline: deadline))
            }
            return objects
        }
    }

    /// A committed object.
    public func object(_ id: UInt64) async throws(ClientError) -> DeviceObject {
        let (directory, timeout) = (runtimeDirectory, callTimeout)
        return try await ClientThread.run("userdriver-call") { (cancellation) throws(ClientError) in
            let connection = try DaemonConnection(directory)
            cancellation.enter(connection)
            let method = "\(ManagementInterface.name).OpenObject"
            try connection.send(method, ["id": .int(Int64(clamping: id))])
            let (reply, numbers) = try connection.receive(deadline: clinux_monotonic_ns() + timeout.clientNanoseconds)
            let descriptors = OwnedDescriptors(numbers)
            return try DeviceObject(try DaemonConnection.result(reply), descriptors: descriptors)
        }
    }
}
