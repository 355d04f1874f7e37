with

source as (

    select * from {{ source('dv360', 'inventory_source') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        inventory_source_id,

        -- attributes
        commitment,
        deal_id,
        delivery_method,
        display_name as inventory_source_name,
        exchange,
        guaranteed_order_id,
        inventory_source_product_type,
        inventory_source_type,
        name as resource_name,
        publisher_name,
        update_time as updated_at,

        -- records and lists, as they came
        creative_configs,
        rate_details,
        read_advertiser_ids,
        read_partner_ids,
        read_write_accessors,
        status,
        time_range,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
