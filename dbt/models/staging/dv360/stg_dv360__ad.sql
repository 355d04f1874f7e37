with

source as (

    select * from {{ source('dv360', 'ad') }}
    {{ every_day('_snapshot_date') }}

),

renamed as (

    select
        -- keys
        _snapshot_date as snapshot_date,
        _account_id as account_id,
        ad_group_ad_id as ad_id,
        ad_group_id,
        advertiser_id,

        -- attributes
        display_name as ad_name,
        entity_status,
        name as resource_name,

        -- records and lists, as they came
        ad_policy,
        ad_urls,
        audio_ad,
        bumper_ad,
        dcm_tracking_info,
        demand_gen_carousel_ad,
        demand_gen_image_ad,
        demand_gen_product_ad,
        demand_gen_video_ad,
        display_video_source_ad,
        in_stream_ad,
        masthead_ad,
        non_skippable_ad,
        video_discover_ad,
        video_performance_ad,

        -- adelt
        _unknown_fields as unknown_fields,
        _run_id as run_id,
        _loaded_at as loaded_at

    from source

)

select * from renamed
