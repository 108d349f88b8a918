// Fuzzes what printers answer.

import IPPUSB

/// A response. What is read of it keeps its bounds, and what follows it changes nothing.
enum IPPFuzz: FuzzTarget {
    static let name = "ipp"

    private static let head: [UInt8] = [2, 0, 0, 0, 0, 0, 0, 1]

    static let seeds: [[UInt8]] =
        [
            // A keyword with two values; an enum, a boolean.
            [1, 0x44, 0, 1, 0x61, 0, 1, 0x62, 0x44, 0, 0, 0, 1, 0x63, 4, 0x23, 0, 1, 0x73, 0, 4, 0, 0, 0, 3, 0x22, 0, 1, 0x62, 0, 1, 1, 3],
            // Collections in each other, of a member with two values.
            [
                1, 0x34, 0, 1, 0x63, 0, 0, 0x4a, 0, 0, 0, 1, 0x6d, 0x34, 0, 0, 0, 0, 0x4a, 0, 0, 0, 1, 0x78, 0x21, 0, 0, 0, 4, 0, 0, 0x52,
                8,
                0x21, 0, 0, 0, 4, 0, 0, 0x74, 4, 0x37, 0, 0, 0, 0, 0x37, 0, 0, 0, 0, 3,
            ],
            // A text with its language, a resolution, a range, no value.
            [
                1, 0x35, 0, 1, 0x74, 0, 9, 0, 2, 0x65, 0x6e, 0, 3, 0x61, 0x62, 0x63, 0x32, 0, 1, 0x72, 0, 9, 0, 0, 1, 0x2c, 0, 0, 1, 0x2c,
                3,
                0x33, 0, 1, 0x67, 0, 8, 0, 0, 0, 1, 0, 0, 0, 99, 0x13, 0, 1, 0x6e, 0, 0, 3,
            ],
        ].map { head + $0 } + [IPPRequest.printerAttributes(uri: "ipp://localhost/ipp/print", requested: ["all", "x"], id: 1)]

    static func run(_ bytes: [UInt8]) {
        let response: IPPResponse
        do throws(IPPSyntaxError) { response = try IPPResponse(parsing: bytes) } catch {
            precondition(!error.description.isEmpty, "an error says what is wrong")
            return
        }
        precondition(response.groups.count <= IPPResponse.mostGroups)
        var (attributes, values) = (0, 0)
        for group in response.groups {
            precondition(group.tag.rawValue != 0 && group.tag.rawValue != 3 && group.tag.rawValue < 16, "a group is one")
            count(group.attributes, &attributes, &values, depth: 0)
            for attribute in group.attributes {
                precondition(response.strings(attribute.name).count <= IPPResponse.mostValues)
                _ = (response.integer(attribute.name), response.boolean(attribute.name))
            }
        }
        precondition(attributes <= IPPResponse.mostAttributes && values <= IPPResponse.mostValues, "bounded")
        do throws(IPPSyntaxError) {
            let again = try IPPResponse(parsing: Array((bytes + [0x34, 0xff]).prefix(IPPResponse.longest)))
            precondition(again == response, "what follows changes it")
        } catch {
            preconditionFailure("what follows makes it none: \(error)")
        }
    }

    private static func count(_ list: [IPPAttribute], _ attributes: inout Int, _ values: inout Int, depth: Int) {
        precondition(depth <= IPPResponse.deepest, "not too deep")
        attributes += list.count
        for attribute in list {
            precondition(!attribute.name.isEmpty && !attribute.values.isEmpty, "an attribute has a name and a value")
            values += attribute.values.count
            for case .collection(let members) in attribute.values { count(members, &attributes, &values, depth: depth + 1) }
        }
    }
}
